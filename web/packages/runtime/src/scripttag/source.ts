/** The <video> of an id, whenever it is in the page: later than the script, or another one. */

/**
 * Attaches to the video now, or as soon as there is one, and anew where another takes its place;
 * `attach` returns what detaches.
 */
export function followVideo(id: string, attach: (video: HTMLVideoElement) => () => void): void {
  let current: HTMLVideoElement | null = null;
  let detach: (() => void) | null = null;
  const look = () => {
    const found = document.getElementById(id);
    const video = found instanceof HTMLVideoElement ? found : null;
    if (video === current) return;
    detach?.();
    current = video;
    detach = video === null ? null : attach(video);
  };
  look();
  new MutationObserver(look).observe(document, {
    childList: true,
    subtree: true,
    attributes: true,
    attributeFilter: ["id"],
  });
}
