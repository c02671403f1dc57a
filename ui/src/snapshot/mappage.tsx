// One map in full: its header by the runtime's names, its bytes, its growth, its cells, who holds it, who walks it.

import type { ComponentChildren } from "preact";
import { count, plural } from "../format.ts";
import { Chain } from "../parts/chain.tsx";
import { Bar, Bytes, Count } from "../parts/numbers.tsx";
import { Growth, MapLink } from "./findings.tsx";
import { Arrays, Histograms } from "./heatmap.tsx";
import { IteratorTable } from "./iterators.tsx";
import type { Model } from "./model.ts";

const CLASSIC = ["count", "flags", "B", "noverflow", "hash0", "buckets", "oldbuckets", "nevacuate", "extra"];
const SWISS = ["count", "seed", "dirPtr", "dirLen", "globalDepth", "globalShift", "writing", "tombstonePossible", "clearSeq"];
const ADDRESSES = new Set(["buckets", "oldbuckets", "extra", "dirPtr"]);
const NAMES: Record<string, string> = { count: "used" };
const PARTS: readonly (readonly [string, string])[] = [
  ["header_bytes", "header"],
  ["array_bytes", "buckets or groups"],
  ["old_array_bytes", "old buckets"],
  ["overflow_bytes", "overflow buckets"],
  ["old_overflow_bytes", "old overflow buckets"],
  ["extra_bytes", "mapextra"],
  ["directory_bytes", "directory"],
  ["table_bytes", "tables"],
  ["indirect_bytes", "keys and values held by pointer"],
];

export function MapPage({ model, address }: { model: Model; address: string }) {
  const row = model.rowOf(address);
  if (row < 0) return <Absent model={model} address={address} />;
  const { maps } = model;
  const swiss = maps.col("generation").text(row) === "swiss";
  const size = maps.col("total_bytes").number(row);
  const chain = model.chainOf(row);
  const dominator = model.dominatorOf(row);
  const findings = model.values.findings.filter((one) => one.subject === address);
  const iterators = model.values.iterators.filter((one) => one.map === address);
  const found = model.about("histograms", row).find((at) => model.pack.section("histograms").col("what").text(at) === "found");
  return (
    <article class="map-page" data-map={address}>
      <p>
        <a href="#maps">← all maps</a>
      </p>
      <h1 class="mono" tabIndex={-1} id="map-title">
        {model.typeOf(row)}
      </h1>
      <p class="lead">
        <span class="mono">{address}</span> · <Count n={maps.col("count").number(row)} /> entries in{" "}
        <Count n={maps.col("capacity").number(row)} /> slots · <Bytes n={size} />, <Bytes n={maps.col("waste_bytes").number(row)} />{" "}
        beyond need · {maps.col("state").text(row)} · {maps.col("confidence").text(row)}
        {found === undefined ? "" : `: ${model.pack.section("histograms").col("name").text(found)}`}
      </p>
      {maps.col("complete").number(row) ? null : (
        <p class="warn">Part of its arrays is not in the evidence: sums are lower bounds.</p>
      )}
      {findings.length ? (
        <Block title="Findings">
          <ul>
            {findings.map((one) => (
              <li key={one.rule}>
                <a href={`#findings?rule=${one.rule}`}>{one.rule}</a> <Bytes n={one.bytes} class="bad" /> {one.title}
                {one.part_of ? ` (part of the bytes of ${one.part_of})` : ""}
              </li>
            ))}
          </ul>
        </Block>
      ) : null}
      <Growth
        evidence={{ noldbuckets: maps.col("noldbuckets").number(row), nevacuate: maps.col("nevacuate").number(row) }}
      />
      <Block title="How full it is">
        <Arrays model={model} row={row} />
        <Histograms model={model} row={row} />
        <Counted model={model} row={row} swiss={swiss} />
        <Tables model={model} row={row} />
      </Block>
      <Block title="Who holds it">
        {chain?.length ? <Chain steps={chain} onMap={(one) => one !== address && model.rowOf(one) >= 0} /> : null}
        {chain ? null : <p class="dim">Not known.</p>}
        {chain && !chain.length ? (
          <p class="dim">
            The chain is left out, to keep this page small: <code>mapscope chain EVIDENCE {address}</code> shows it.
          </p>
        ) : null}
        {maps.col("held").number(row) ? (
          <p>
            It retains <Bytes n={maps.col("retained_bytes").number(row)} />.{" "}
            {dominator ? (
              <>
                Every chain passes <span class="mono">{dominator.label}</span>
                {dominator.address ? (
                  <>
                    {" "}
                    at <MapLink address={dominator.address} model={model} />
                  </>
                ) : null}
                .
              </>
            ) : (
              "Several roots hold it independently, or one does directly."
            )}
          </p>
        ) : null}
      </Block>
      <Block title="Iterators on it">
        {iterators.length ? <IteratorTable model={model} iterators={iterators} /> : <p class="dim">None.</p>}
      </Block>
      <div class="columns">
        <Block title={swiss ? "Header (maps.Map)" : "Header (hmap)"}>
          <dl class="facts">
            {(swiss ? SWISS : CLASSIC).map((name) => (
              <div key={name}>
                <dt class="mono">{swiss ? (NAMES[name] ?? name) : name}</dt>
                <dd class="num" data-field={name}>
                  {ADDRESSES.has(name) ? maps.col(name).hex(row) : count(maps.col(name).exact(row))}
                </dd>
              </div>
            ))}
          </dl>
        </Block>
        <Block title="Bytes">
          <table class="plain">
            <tbody>
              {PARTS.map(([name, words]) => {
                const part = maps.col(name).number(row);
                return part ? (
                  <tr key={name}>
                    <th scope="row">{words}</th>
                    <td class="right">
                      <Bytes n={part} />
                    </td>
                    <td class="bar-cell">
                      <Bar of={part} whole={size} />
                    </td>
                  </tr>
                ) : null;
              })}
              <tr class="sum">
                <th scope="row">in all</th>
                <td class="right">
                  <Bytes n={size} />
                </td>
                <td />
              </tr>
              <tr>
                <th scope="row">a map made for its entries</th>
                <td class="right">
                  <Bytes n={maps.col("needed_bytes").number(row)} />
                </td>
                <td />
              </tr>
            </tbody>
          </table>
        </Block>
      </div>
    </article>
  );
}

export function Block({ title, children }: { title: string; children: ComponentChildren }) {
  return (
    <section class="block">
      <h2>{title}</h2>
      {children}
    </section>
  );
}

function Counted({ model, row, swiss }: { model: Model; row: number; swiss: boolean }) {
  const number = (name: string) => model.maps.col(name).number(row);
  const load = model.maps.col("load").number(row);
  const words = swiss
    ? [
        plural(number("tables"), "table"),
        plural(number("groups"), "group"),
        plural(number("tombstones"), "tombstone"),
        `${count(number("growth_left"))} inserts before a table must grow`,
        `${load.toFixed(2)} entries a slot, 0.88 at most`,
      ]
    : [
        `${plural(number("overflow_count"), "overflow bucket")}, ${plural(number("prealloc_overflow"), "preallocated one")}`,
        number("noldbuckets")
          ? `${count(number("old_evacuated"))} of ${count(number("noldbuckets"))} old buckets evacuated, ${plural(number("old_overflow_count"), "old overflow bucket")}`
          : "",
        `${load.toFixed(2)} entries a bucket, 6.5 before it grows`,
      ];
  return <p>{words.filter(Boolean).join(" · ")}</p>;
}

function Tables({ model, row }: { model: Model; row: number }) {
  const found = model.about("tables", row);
  const section = model.pack.section("tables");
  if (!found.length) return null;
  const columns = ["used", "capacity", "growth_left", "tombstones", "local_depth", "index"];
  return (
    <details>
      <summary>
        {plural(found.length, "table")}
        {found.length < model.maps.col("tables").number(row) ? ` of ${count(model.maps.col("tables").number(row))}` : ""}
      </summary>
      <div class="table-box" tabIndex={0} role="region" aria-label="Tables">
        <table>
          <thead>
            <tr>
              <th scope="col">address</th>
              {columns.map((name) => (
                <th key={name} scope="col" class="right">
                  {name.replace(/_(.)/g, (_, letter: string) => letter.toUpperCase())}
                </th>
              ))}
            </tr>
          </thead>
          <tbody>
            {found.map((at) => (
              <tr key={at}>
                <td class="mono">{section.col("address").text(at)}</td>
                {columns.map((name) => (
                  <td key={name} class="right num">
                    {count(section.col(name).number(at))}
                  </td>
                ))}
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </details>
  );
}

function Absent({ model, address }: { model: Model; address: string }) {
  const { maps_rest: rest, evidence } = model.values;
  return (
    <article class="map-page">
      <p>
        <a href="#maps">← all maps</a>
      </p>
      <h1 tabIndex={-1} id="map-title">
        No map of this page lies there
      </h1>
      <p>
        The page lists the {plural(model.maps.rows, "largest map", "largest maps")}
        {rest.maps ? `; ${plural(rest.maps, "smaller one")} are only in its sums` : ""}. Any map: <code>mapscope map {evidence.path.split("/").pop()} {/^0x[0-9a-f]{1,16}$/.test(address) ? address : "ADDRESS"}</code>
      </p>
    </article>
  );
}
