/** What a published page tells its service worker. */
export type Message = "keep-everything" | "take-over-if-alone";
