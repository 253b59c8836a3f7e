/** `<script type="module" src="/sightline-video.js">`: <sightline-video> for other pages. */
export * from "@sightline/web/element";
