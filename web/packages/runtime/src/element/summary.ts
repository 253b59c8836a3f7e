/** What is seen, in few words for those who cannot see it. */
import type { Detection } from "../device/detector";

/** "2 persons, 1 dog"; the class with the best score first. */
export function summarize(detections: readonly Detection[]): string {
  const counts = new Map<string, number>();
  for (const { label } of detections) counts.set(label, (counts.get(label) ?? 0) + 1);
  const parts = [...counts].map(
    ([label, count]) => `${count} ${count === 1 ? label : plural(label)}`,
  );
  return parts.join(", ") || "Nothing found";
}

function plural(label: string): string {
  return /(?:s|x|z|ch|sh)$/.test(label) ? `${label}es` : `${label}s`;
}
