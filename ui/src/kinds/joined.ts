// Lines with places of their own on one axis.

/** A line as it was measured. */
export interface Measured {
  readonly x: readonly number[];
  readonly y: readonly (number | null)[];
}

/** All places of all lines, and the values of each line at them; null where it has none. */
export function joined(lines: readonly Measured[]): { places: number[]; values: (number | null)[][] } {
  const places = [...new Set(lines.flatMap((line) => line.x))].sort((a, b) => a - b);
  const at = new Map(places.map((x, place) => [x, place]));
  const values = lines.map((line) => {
    const out: (number | null)[] = places.map(() => null);
    line.x.forEach((x, row) => {
      out[at.get(x) ?? 0] = line.y[row] ?? null;
    });
    return out;
  });
  return { places, values };
}
