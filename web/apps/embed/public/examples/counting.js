import { watchVideo } from "../../sightline.js";

const video = document.querySelector("#table");
const list = document.querySelector("#events");
watchVideo(video, {
  model: video.dataset.model,
  zones: [
    {
      name: "left half",
      points: [
        [0, 0],
        [0.5, 0],
        [0.5, 1],
        [0, 1],
      ],
    },
  ],
  onCount: ({ kind, zone, detection }) => {
    const line = document.createElement("li");
    line.textContent = `${detection.label} ${detection.id}: ${kind} ${zone}`;
    list.prepend(line);
  },
});
