// The indicators with their thresholds, and the article's own with what they are worth.

import { bytes, count } from "../format.ts";
import { Part } from "../parts/section.tsx";
import type { Article as Row, Indicator } from "./model.ts";

export function value(number: number | null, unit: string): string {
  if (number === null) return "not known";
  if (unit === "bytes") return bytes(Math.round(number));
  if (unit === "bytes/hour") return `${bytes(Math.round(number))}/h`;
  if (unit === "ratio") return number.toFixed(2);
  return `${count(number)} ${Math.round(number) === 1 ? unit.replace(/s$/, "") : unit}`;
}

/** The unit of a threshold is not always that of the value: P3 and P5 count places of so many bytes. */
function threshold(one: Indicator): string {
  if (one.threshold === null) return "";
  return one.unit === "places" ? `of at least ${bytes(one.threshold)}` : value(one.threshold, one.unit);
}

export function Indicators({ rows }: { rows: readonly Indicator[] }) {
  if (!rows.length) return null;
  return (
    <Part id="indicators" title="Indicators">
      <div class="table-box k-rows" role="region" aria-label="Indicators, values and thresholds" tabIndex={0}>
        <table>
          <caption class="k-hidden">Indicators</caption>
          <thead>
            <tr>
              <th scope="col">
                <span class="k-hidden">id</span>
              </th>
              <th scope="col">indicator</th>
              <th scope="col" class="right">
                value
              </th>
              <th scope="col">95 % interval</th>
              <th scope="col">threshold</th>
            </tr>
          </thead>
          <tbody>
            {rows.map((one) => (
              <tr key={one.id} data-indicator={one.id}>
                <td>
                  <span class="rule">{one.id}</span>
                </td>
                <td class="k-wide">
                  {one.title}
                  <span class="dim k-below">{one.text}</span>
                </td>
                <td class={`right num ${one.value === null ? "dim" : ""}`} data-value={one.value ?? ""}>
                  {value(one.value, one.unit)}
                </td>
                <td class="num">{one.low === null || one.high === null ? "" : `${value(one.low, one.unit)} to ${value(one.high, one.unit)}`}</td>
                <td class="num">{threshold(one)}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </Part>
  );
}

export function Article({ rows }: { rows: readonly Row[] }) {
  if (!rows.length) return null;
  return (
    <Part id="article" title="The article's indicators" lead="As the article writes them, and what they are worth.">
      <div class="table-box k-rows" role="region" aria-label="The article's indicators and their worth" tabIndex={0}>
        <table>
          <caption class="k-hidden">The article's indicators</caption>
          <thead>
            <tr>
              <th scope="col">
                <span class="k-hidden">id</span>
              </th>
              <th scope="col">indicator</th>
              <th scope="col" class="right">
                value
              </th>
              <th scope="col">the article</th>
              <th scope="col">its worth</th>
            </tr>
          </thead>
          <tbody>
            {rows.map((one) => (
              <tr key={one.id} data-indicator={one.id}>
                <td>
                  <span class="rule">{one.id}</span>
                </td>
                <td class="k-wide">{one.title}</td>
                <td class="right num" data-value={one.value ?? ""}>
                  {value(one.value, one.unit)}
                </td>
                <td class="k-wide">{one.article_says}</td>
                <td class="k-wide">{one.verdict}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </Part>
  );
}
