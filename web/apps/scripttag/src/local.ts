/** The page /local: the user's camera as in a mirror, and the script tag of 2017 on it. */
import { describeProblem, openCamera } from "@sightline/web";
import { element, showFound, showSnippet } from "./page";

const video = element("myVideo", HTMLVideoElement);
const problem = element("problem", HTMLDivElement);

async function start(): Promise<void> {
  problem.hidden = true;
  try {
    video.srcObject = await openCamera("user");
  } catch (error) {
    const { title, advice } = describeProblem(error);
    element("problem-text", HTMLParagraphElement).textContent = `${title}. ${advice}`;
    problem.hidden = false;
  }
}

element("retry", HTMLButtonElement).addEventListener("click", start);
showFound();
showSnippet();
start();
