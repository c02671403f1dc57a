// Lines over an axis, drawn by uPlot: read under the pointer or by keyboard, zoomed by dragging, and as a table.

import type { ComponentChildren } from "preact";
import { useEffect, useLayoutEffect, useMemo, useRef, useState } from "preact/hooks";
import uPlot from "uplot";
import { usePrinting } from "../parts/printing.ts";
import "uplot/dist/uPlot.min.css";
import "../style/plot.css";

/** One line. `values` has a number a place of the axis; null where there is none. */
export interface Line {
  readonly id: string;
  readonly label: string;
  readonly values: readonly (number | null)[];
  /** A number of a colour; the same for lines that belong together. */
  readonly colour: number;
  readonly dash?: "dashed" | "dotted";
  readonly area?: boolean;
  readonly shown?: boolean;
}

export interface Axis {
  readonly label: string;
  readonly text: (value: number) => string;
  readonly log2?: boolean;
  readonly time?: boolean;
}

const COLOURS = 8;
const ROWS = 200;
const PAPER = 660; // pixels that a sheet of A4 or Letter has room for

/** A colour of the style sheet as canvas takes it; `light-dark()` is settled by an element that wears it. */
function colour(host: Element, name: string, light: boolean): string {
  const probe = document.createElement("span");
  if (light) probe.style.colorScheme = "light";
  probe.style.color = `var(${name})`;
  host.append(probe);
  const found = getComputedStyle(probe).color;
  probe.remove();
  return found;
}

/** A number that rises whenever the colours of the page may have changed. */
function useScheme(): number {
  const [turn, set] = useState(0);
  useLayoutEffect(() => {
    const next = () => set((last) => last + 1);
    const media = matchMedia("(prefers-color-scheme: dark)");
    const watch = new MutationObserver(next);
    watch.observe(document.documentElement, { attributes: true, attributeFilter: ["data-scheme"] });
    media.addEventListener("change", next);
    return () => {
      watch.disconnect();
      media.removeEventListener("change", next);
    };
  }, []);
  return turn;
}

export function Plot({
  id,
  label,
  places,
  lines,
  across,
  up,
  stepped = false,
  points = false,
  children,
}: {
  id: string;
  label: string;
  places: readonly number[];
  lines: readonly Line[];
  across: Axis;
  up: Axis;
  stepped?: boolean;
  points?: boolean;
  children?: ComponentChildren;
}) {
  const host = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot | null>(null);
  const [shown, setShown] = useState<ReadonlySet<string>>(
    () => new Set(lines.filter((line) => line.shown !== false).map((line) => line.id)),
  );
  const [at, setAt] = useState<number | null>(null);
  const [zoomed, setZoomed] = useState(false);
  const [find, setFind] = useState("");
  const scheme = useScheme();
  const printing = usePrinting();
  const low = places[0] ?? 0;
  const high = places[places.length - 1] ?? 1;

  // Before the browser lays the page out: it does so once for a printer.
  useLayoutEffect(() => {
    const place = host.current;
    if (!place) return;
    const ink = colour(place, "--dim", printing);
    const grid = { stroke: colour(place, "--line", printing), width: 1 };
    const font = "12px system-ui, sans-serif";
    const width = () => (printing ? PAPER : Math.max(240, place.clientWidth));
    const height = () => (width() < 500 ? 260 : 340);
    const widest = Math.max(...lines.flatMap((line) => line.values.map((value) => up.text(value ?? 0).length)), 4);
    const made = new uPlot(
      {
        width: width(),
        height: height(),
        ms: 1e-3,
        legend: { show: false },
        cursor: { drag: { x: true, y: false, setScale: true }, points: { size: 7 }, focus: { prox: 30 } },
        focus: { alpha: 0.35 },
        scales: {
          x: {
            time: !!across.time,
            ...(across.log2 ? { distr: 3, log: 2 } : {}),
            ...(places.length === 1 ? { range: [low - 1, high + 1] as [number, number] } : {}),
          },
          y: { range: (_, __, top) => [0, top > 0 ? top * 1.06 : 1] },
        },
        axes: [
          {
            stroke: ink,
            grid,
            ticks: grid,
            font,
            label: across.label,
            labelFont: font,
            labelSize: 20,
            labelGap: 2,
            gap: 4,
            space: 24 + 7 * Math.max(across.text(low).length, across.text(high).length, 6),
            ...(across.time ? {} : { values: (_, ticks) => ticks.map((tick) => (tick === null ? "" : across.text(tick))) }),
          },
          {
            stroke: ink,
            grid,
            ticks: grid,
            font,
            size: Math.min(110, 22 + 6.5 * widest),
            values: (_, ticks) => ticks.map((tick) => up.text(tick)),
          },
        ],
        series: [
          {},
          ...lines.map((line) => {
            const stroke = colour(place, `--k${line.colour % COLOURS}`, printing);
            return {
              label: line.label,
              show: shown.has(line.id),
              stroke,
              width: 2,
              spanGaps: true,
              ...(line.dash ? { dash: line.dash === "dashed" ? [7, 4] : [2, 4] } : {}),
              ...(line.area ? { fill: colour(place, `--k${line.colour % COLOURS}-soft`, printing), width: 0 } : {}),
              ...(stepped && uPlot.paths.stepped ? { paths: uPlot.paths.stepped({ align: 1 }) } : {}),
              points: { show: points || places.length < 30, size: 6, stroke, fill: stroke },
            };
          }),
        ],
        hooks: {
          setCursor: [(now) => setAt(now.cursor.idx ?? null)],
          setScale: [
            (now, key) => {
              if (key !== "x") return;
              const { min, max } = now.scales["x"] ?? {};
              setZoomed(places.length > 1 && (min ?? low) > low + (high - low) * 1e-6 || (max ?? high) < high - (high - low) * 1e-6);
            },
          ],
        },
      },
      [places as number[], ...lines.map((line) => line.values as (number | null)[])],
      place,
    );
    plot.current = made;
    const resize = () => made.setSize({ width: width(), height: height() });
    const watch = new ResizeObserver(resize);
    watch.observe(place);
    return () => {
      watch.disconnect();
      made.destroy();
      plot.current = null;
    };
    // Which lines show is changed in place below.
  }, [places, lines, scheme, printing]);

  useEffect(() => {
    const now = plot.current;
    if (!now) return;
    now.batch(() => lines.forEach((line, row) => now.setSeries(row + 1, { show: shown.has(line.id) })));
  }, [shown, lines]);

  const reset = () => plot.current?.setScale("x", { min: low, max: high });
  const move = (row: number) => {
    const now = plot.current;
    if (!now || !places.length) return;
    const to = Math.max(0, Math.min(places.length - 1, row));
    const x = now.valToPos(places[to] ?? 0, "x");
    now.setCursor({ left: Math.max(0, Math.min(now.over.clientWidth - 1, x)), top: now.over.clientHeight / 2 });
    setAt(to);
  };
  const zoom = (factor: number) => {
    const now = plot.current;
    const { min, max } = now?.scales["x"] ?? {};
    if (!now || min == null || max == null) return;
    const middle = at === null ? (min + max) / 2 : Math.max(min, Math.min(max, places[at] ?? min));
    const from = Math.max(low, middle - (middle - min) * factor);
    const to = Math.min(high, middle + (max - middle) * factor);
    if (to > from) now.setScale("x", { min: from, max: to });
  };
  const key = (event: KeyboardEvent) => {
    const steps: Record<string, () => void> = {
      ArrowLeft: () => move((at ?? places.length) - 1),
      ArrowRight: () => move((at ?? -1) + 1),
      Home: () => move(0),
      End: () => move(places.length - 1),
      "+": () => zoom(0.5),
      "-": () => zoom(2),
      Escape: reset,
    };
    const step = steps[event.key];
    if (!step) return;
    event.preventDefault();
    step();
  };
  const toggle = (line: Line) => {
    const next = new Set(shown);
    if (!next.delete(line.id)) next.add(line.id);
    setShown(next);
  };

  const visible = useMemo(() => lines.filter((line) => shown.has(line.id)), [lines, shown]);
  const wanted = find.trim().toLowerCase();
  const listed = wanted ? lines.filter((line) => line.label.toLowerCase().includes(wanted)) : lines;
  const read = at ?? places.length - 1;
  const step = Math.ceil(places.length / ROWS) || 1;
  const rows = places.map((_, row) => row).filter((row) => row % step === 0 || row === places.length - 1);
  return (
    <div class="k-plot" id={id}>
      <div class="k-canvas" ref={host} tabIndex={0} role="application" aria-roledescription="line chart" aria-label={`${label}. Arrow keys read values, plus and minus zoom, Escape shows all.`} onKeyDown={key} />
      <div class="filters k-tools">
        <button type="button" onClick={() => zoom(0.5)} aria-label="Zoom in">
          +
        </button>
        <button type="button" onClick={() => zoom(2)} aria-label="Zoom out">
          −
        </button>
        <button type="button" class="k-reset" onClick={reset} disabled={!zoomed}>
          Whole range
        </button>
        {children}
        <span class="dim k-hint">Drag to zoom; point or use ← → to read.</span>
      </div>
      <div class="k-grid">
        <div class="filters k-tools">
          <output class="k-at" aria-live="polite">
            {places.length ? `${across.label}: ${across.text(places[read] ?? 0)}` : ""}
          </output>
          {lines.length > 8 ? (
            <label>
              <span>Find a line</span>
              <input type="search" value={find} placeholder="words" onInput={(event) => setFind(event.currentTarget.value)} />
            </label>
          ) : null}
          {lines.length > 2 ? (
            <>
              <button type="button" onClick={() => setShown(new Set([...shown, ...listed.map((line) => line.id)]))}>
                Show {wanted ? "found" : "all"}
              </button>
              <button type="button" onClick={() => setShown(new Set([...shown].filter((one) => !listed.some((line) => line.id === one))))}>
                Hide {wanted ? "found" : "all"}
              </button>
            </>
          ) : null}
        </div>
        <ul class="k-legend" aria-label="Lines">
          {listed.map((line) => {
            const value = line.values[read] ?? null;
            return (
              <li key={line.id}>
                <label>
                  <input type="checkbox" checked={shown.has(line.id)} onChange={() => toggle(line)} data-line={line.id} />
                  <svg class={`k-swatch k-stroke-${line.colour % COLOURS}`} viewBox="0 0 22 10" aria-hidden="true">
                    <line x1="1" y1="5" x2="21" y2="5" class={line.dash ? `k-${line.dash}` : undefined} />
                  </svg>
                  <span class="k-name">{line.label}</span>
                  <span class="k-reading">{value === null ? "–" : up.text(value)}</span>
                </label>
              </li>
            );
          })}
        </ul>
      </div>
      <details class="k-table">
        <summary>The same as a table</summary>
        {step > 1 ? <p class="dim">Every {step}th of {places.length} rows, and the last.</p> : null}
        <div class="table-box" role="region" aria-label={`${label} as a table`} tabIndex={0}>
          <table>
            <caption class="k-hidden">{label}</caption>
            <thead>
              <tr>
                <th scope="col">{across.label}</th>
                {visible.map((line) => (
                  <th key={line.id} scope="col" class="right num">
                    {line.label}
                  </th>
                ))}
              </tr>
            </thead>
            <tbody>
              {rows.map((row) => (
                <tr key={row}>
                  <th scope="row">{across.text(places[row] ?? 0)}</th>
                  {visible.map((line) => {
                    const value = line.values[row] ?? null;
                    return (
                      <td key={line.id} class="right num">
                        {value === null ? "–" : <span data-value={value}>{up.text(value)}</span>}
                      </td>
                    );
                  })}
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      </details>
    </div>
  );
}
