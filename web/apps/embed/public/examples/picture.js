import { createDetector } from "../../sightline.js";

const input = document.querySelector("#photo");
const answer = document.querySelector("#answer");
const detector = await createDetector({ model: input.dataset.model });
answer.textContent = "Choose a photo.";
input.addEventListener("change", async () => {
  const bitmap = await createImageBitmap(input.files[0]);
  const { detections } = await detector.detect(bitmap);
  answer.textContent = JSON.stringify(detections, null, 2);
});
