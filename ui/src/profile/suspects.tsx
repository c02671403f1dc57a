// What a profile suspects and only a snapshot decides.

import { bytes, count, plural } from "../format.ts";
import { place, Told } from "../kinds/bits.tsx";
import { Bytes } from "../parts/numbers.tsx";
import { NO_TYPE, type Suspect } from "./model.ts";

const SHOWN = 50;

export function Suspects({ rows, rest, tone = "bad" }: { rows: readonly Suspect[]; rest: number; tone?: string }) {
  const texts = [...new Set(rows.map((one) => one.text))];
  const more = rest + Math.max(0, rows.length - SHOWN);
  return (
    <>
      {texts.length === 1 ? <p class="lead dim">{texts[0]}</p> : null}
      {rows.slice(0, SHOWN).map((one, at) => (
        <article key={at} class={`card k-card k-is-${tone}`} data-suspect={one.indicator}>
          <header>
            <span class="rule">{one.indicator}</span>
            <h3>{what(one)}</h3>
            <Told how={one.told} />
          </header>
          <p>
            <span class="mono">{one.type ?? NO_TYPE}</span> in <span class="mono">{one.function}</span>{" "}
            <span class="dim">{place(one.file, one.line)}</span>
          </p>
          {one.rises.length ? (
            <ul>
              {one.rises.map((rise, number) => (
                <li key={number}>
                  only rises: <span class="mono">{rise.function}</span>, <Bytes n={rise.first_bytes} /> → <Bytes n={rise.last_bytes} />
                </li>
              ))}
            </ul>
          ) : null}
          {texts.length > 1 ? <p class="dim">{one.text}</p> : null}
        </article>
      ))}
      {more ? <p class="dim">{plural(more, "more suspect")}: <code>-f json</code> lists them.</p> : null}
    </>
  );
}

function what(one: Suspect): string {
  if (one.smaller_bytes !== null && one.larger_bytes !== null) {
    return `An array of ${bytes(one.smaller_bytes)} beside one of ${bytes(one.larger_bytes)}`;
  }
  const many = one.goroutines ?? 0;
  const wait = one.wait_minutes === null ? "" : ` for up to ${plural(one.wait_minutes, "minute")}`;
  return `${count(many)} ${many === 1 ? "goroutine stands" : "goroutines stand"} in a loop over a map${one.state ? ` (${one.state})` : ""}${wait}`;
}
