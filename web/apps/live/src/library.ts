/** `import {...} from "/sightline.js"`: the runtime for other pages of the same server. */
export * from "@sightline/web";
