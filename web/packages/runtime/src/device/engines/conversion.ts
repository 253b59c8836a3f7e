/**
 * A graph's three outputs in the convention that its manifest names, as ours. Python does the same
 * in sightline/runtime/engines/conversion.py.
 */
import type { Manifest } from "../../model/manifest";
import type { GraphOutputs } from "../postprocess";

type Convention = Pick<Manifest, "boxFormat" | "firstLabel" | "maxDetections">;

/** Best score first, corners xyxy, labels from 0. Raises an Error for other numbers of values. */
export function toOutputs(
  values: readonly ArrayLike<number>[],
  { boxFormat, firstLabel, maxDetections }: Convention,
): GraphOutputs {
  const [boxes = [], scores = [], labels = []] = values;
  const count = scores.length;
  if (count > maxDetections || labels.length !== count || boxes.length !== 4 * count) {
    throw new Error(
      `${count} scores, ${labels.length} labels and ${boxes.length} values of boxes came, the ` +
        `manifest says up to ${maxDetections} detections; make the model again`,
    );
  }
  const order = Array.from({ length: count }, (_, index) => index);
  order.sort((a, b) => (scores[b] as number) - (scores[a] as number)); // stable
  const corners = boxFormat === "yxyx_norm" ? [1, 0, 3, 2] : [0, 1, 2, 3];
  return {
    boxesXyxyNorm: Float32Array.from(
      order.flatMap((index) => corners.map((corner) => boxes[index * 4 + corner] as number)),
    ),
    scores: Float32Array.from(order, (index) => scores[index] as number),
    labelIds: Int32Array.from(order, (index) => Math.round(labels[index] as number) - firstLabel),
  };
}
