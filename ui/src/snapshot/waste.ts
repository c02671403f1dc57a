// Waste as a colour: five steps of the share of bytes that is beyond need.

export const STEPS: readonly (readonly [number, string])[] = [
  [0.1, "under 10 %"],
  [0.25, "10 to 25 %"],
  [0.5, "25 to 50 %"],
  [0.75, "50 to 75 %"],
  [Infinity, "over 75 %"],
];

/** Class of a share of waste: waste-0 … waste-4. */
export function wasteClass(waste: number, bytes: number): string {
  const share = bytes > 0 ? waste / bytes : 0;
  return `waste-${STEPS.findIndex(([end]) => share < end)}`;
}
