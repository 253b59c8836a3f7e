import { watchVideo } from "../../sightline.js";

const video = document.querySelector("#clip");
watchVideo(video, {
  model: video.dataset.model,
  onResult: ({ detections }) => {
    const labels = detections.map(({ label }) => label);
    document.querySelector("#found").textContent = labels.join(", ") || "nothing";
  },
});
