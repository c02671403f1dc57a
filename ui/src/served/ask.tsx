// Asks for any address: what lies there, which map it is a part of, who holds it, what it keeps, and on demand more.

import type { ComponentChildren } from "preact";
import { useEffect, useState } from "preact/hooks";
import { count, plural } from "../format.ts";
import { useRoute } from "../route.ts";
import { useAnswer } from "./asked.ts";
import { AddressLink, Answer, Size, StepWords } from "./parts.tsx";
import type { ChainNode, Chains, Contents, Place, ServedSource } from "./source.ts";

/** The form, and the answer for the address that the route names: #ask/0xc000010000. */
export function Ask({ source }: { source: ServedSource }) {
  const [part, wanted] = useRoute().path;
  const address = part === "ask" && wanted ? wanted : null;
  const [typed, type] = useState(address ?? "");
  useEffect(() => {
    if (address) type(address);
  }, [address]);
  const asked = useAnswer<Place>(source, address === null ? null : `api/address/${encodeURIComponent(address)}`);
  return (
    <section id="ask" class="asked-panel" aria-labelledby="ask-head">
      <h2 id="ask-head">Ask for an address</h2>
      <form
        onSubmit={(event) => {
          event.preventDefault();
          const word = typed.trim();
          if (word) location.hash = `ask/${word}`;
        }}
      >
        <label for="ask-address">Address</label>{" "}
        <input
          id="ask-address"
          value={typed}
          placeholder="0xc000012345"
          spellcheck={false}
          autocomplete="off"
          maxLength={18}
          onInput={(event) => type(event.currentTarget.value)}
        />{" "}
        <button type="submit">Ask</button>
      </form>
      <Answer asked={asked}>{(place) => <Found key={place.address} source={source} place={place} />}</Answer>
    </section>
  );
}

function Found({ source, place }: { source: ServedSource; place: Place }) {
  return (
    <div id="answer">
      <p class="asked-lead">{place.words}</p>
      <dl class="asked-facts">
        {place.name ? <Fact name="name">{<code>{place.name}</code>}</Fact> : null}
        {place.start && place.offset ? (
          <Fact name="begins at">
            <AddressLink at={place.start} />, {count(place.offset)} bytes before
          </Fact>
        ) : null}
        {place.field ? <Fact name="field">{<code>{place.field}</code>}</Fact> : null}
        {place.map ? (
          <Fact name="map">
            <a id="answer-map" href={`#map/${place.map.address}`}>
              <code>{place.map.type ?? "map of unknown type"}</code>
            </a>{" "}
            at <AddressLink at={place.map.address} />, of which it is: {place.map.part}
          </Fact>
        ) : null}
        {place.is_map && !place.map ? (
          <Fact name="map">
            <a href={`#map/${place.address}`}>its page</a>
          </Fact>
        ) : null}
        {place.retained_bytes !== null ? (
          <Fact name="retains">
            <Size of={place.retained_bytes} />: so much would be free without it
          </Fact>
        ) : null}
        {place.span ? (
          <Fact name="span">
            <code>{place.span.address}</code>, <Size of={place.span.bytes} />, {count(place.span.slots)} slots of{" "}
            {count(place.span.slot_bytes)} bytes{place.span.pointers ? "" : ", without pointers"}
          </Fact>
        ) : null}
        {place.uncertain ? <Fact name="sure">only words that may be no pointers lead to it</Fact> : null}
        {place.dominator ? (
          <Fact name="passes">
            every chain passes <StepWords step={place.dominator} />
          </Fact>
        ) : null}
      </dl>
      {place.chain ? (
        <>
          <h3>Who holds it</h3>
          <ol class="asked-chain" id="answer-chain">
            {place.chain.map((step, at) => (
              <li key={at} data-kind={step.kind}>
                <StepWords step={step} />
              </li>
            ))}
          </ol>
        </>
      ) : null}
      {place.kind === "object" && place.chain ? <EveryWay source={source} address={place.address} /> : null}
      {place.can_show ? <Shown source={source} address={place.is_map ? place.address : (place.start ?? place.address)} /> : null}
    </div>
  );
}

function Fact({ name, children }: { name: string; children: ComponentChildren }) {
  return (
    <>
      <dt>{name}</dt>
      <dd>{children}</dd>
    </>
  );
}

/** All chains, asked for by a button: it can take seconds. */
function EveryWay({ source, address }: { source: ServedSource; address: string }) {
  const [wanted, want] = useState(false);
  const asked = useAnswer<Chains>(source, wanted ? `api/chains/${address}` : null);
  if (!wanted) {
    return (
      <button type="button" id="every-way" onClick={() => want(true)}>
        Show every way that differs
      </button>
    );
  }
  return (
    <Answer asked={asked}>
      {(found) => (
        <>
          <h3>Every way: {plural(found.chains, "chain")}</h3>
          <ul class="asked-tree" id="answer-chains">
            {(found.all ?? []).map((node, at) => (
              <Way key={at} node={node} />
            ))}
          </ul>
          {found.more ? <p class="dim">{count(found.more)} more objects or roots lead to it and were left out.</p> : null}
        </>
      )}
    </Answer>
  );
}

/** A branch without forks stays one list; only forks go deeper, so the page is no deeper than chains have forks. */
function Way({ node }: { node: ChainNode }) {
  const line: ChainNode[] = [node];
  let last = node;
  while (last.children.length === 1 && last.children[0]) {
    last = last.children[0];
    line.push(last);
  }
  return (
    <li>
      {line.map((one, at) => (
        <div key={at}>
          {at ? <span aria-hidden="true">→ </span> : null}
          <StepWords step={one.step} />
          {one.objects > 1 ? <span class="dim"> ({count(one.objects)} objects)</span> : null}
        </div>
      ))}
      {last.children.length > 1 ? (
        <ul>
          {last.children.map((child, at) => (
            <Way key={at} node={child} />
          ))}
        </ul>
      ) : null}
    </li>
  );
}

/** Contents, asked for by a button even where the server may show them. */
function Shown({ source, address }: { source: ServedSource; address: string }) {
  const [wanted, want] = useState(false);
  const asked = useAnswer<Contents>(source, wanted ? `api/contents/${address}` : null);
  if (!wanted) {
    return (
      <button type="button" id="show-contents" onClick={() => want(true)}>
        Show some contents (they may be secrets)
      </button>
    );
  }
  return (
    <Answer asked={asked}>
      {(found) => (
        <div id="contents">
          <h3>Contents</h3>
          {found.redacted ? <p>The core is redacted: contents read as zeros.</p> : null}
          {found.entries.length ? (
            <dl class="asked-facts">
              {found.entries.map((entry, at) => (
                <Fact key={at} name={entry.key || "value"}>
                  <code>{entry.value}</code>
                </Fact>
              ))}
            </dl>
          ) : (
            <p class="dim">None that can be read by type.</p>
          )}
          {found.more ? <p class="dim">and {count(found.more)} more</p> : null}
        </div>
      )}
    </Answer>
  );
}
