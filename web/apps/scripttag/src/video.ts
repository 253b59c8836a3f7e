/** The page /video: a plain <video>, and the script tag of 2017 on it. */
import { element, showFound, showSnippet } from "./page";

const video = element("myVideo", HTMLVideoElement);
const problem = element("problem", HTMLParagraphElement);
let chosen = "";

function showProblem(): void {
  problem.textContent =
    chosen === ""
      ? "This server has no sample clip. Choose a video."
      : "This browser cannot play that video. Choose another one.";
  problem.hidden = false;
}

video.addEventListener("error", showProblem);
if (video.error !== null) showProblem();
element("file", HTMLInputElement).addEventListener("change", (event) => {
  const [file] = (event.target as HTMLInputElement).files ?? [];
  if (file === undefined) return;
  URL.revokeObjectURL(chosen);
  chosen = URL.createObjectURL(file);
  problem.hidden = true;
  video.src = chosen;
});
showFound();
showSnippet();
