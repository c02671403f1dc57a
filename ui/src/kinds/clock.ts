// Times of a series, as an axis tells them.

/** `zero` is to be taken from each time before it is drawn. */
export interface Clock {
  readonly label: string;
  readonly text: (seconds: number) => string;
  readonly time: boolean;
  readonly zero: number;
}

/** By the clock, with the day where there are several; a series shorter than two minutes by seconds from its start. */
export function clock(all: readonly number[]): Clock {
  const first = all[0] ?? 0;
  if ((all[all.length - 1] ?? 0) - first <= 120) {
    return { label: "seconds since the first profile", text: (seconds) => `${seconds.toFixed(2)} s`, time: false, zero: first };
  }
  const days = new Set([first, all[all.length - 1] ?? 0].map((one) => new Date(one * 1000).toDateString())).size > 1;
  return { label: "time", text: (seconds) => stamp(seconds, days), time: true, zero: 0 };
}

/** `11-25 22:43:20`, in the reader's own time zone. */
export function stamp(seconds: number, day = true): string {
  const at = new Date(seconds * 1000);
  const two = (value: number) => String(value).padStart(2, "0");
  const time = `${two(at.getHours())}:${two(at.getMinutes())}:${two(at.getSeconds())}`;
  return day ? `${two(at.getMonth() + 1)}-${two(at.getDate())} ${time}` : time;
}
