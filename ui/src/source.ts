// Where a page's data comes from. A view asks a Source and never looks at the document or the network itself.

import { openPack, type Pack, PackError } from "./pack.ts";

/** Asks for data. A report in one file has all it can show in its pack; a server has more. */
export interface Source {
  /** The page's data: sums, lists and columns. */
  readonly pack: Pack;
  /** One map in full, or null where this source has no more than the pack says. */
  map(address: string): Promise<Pack | null>;
  /** What lies at any address (a pack of kind "object"), or null where this source cannot be asked. */
  object(address: string): Promise<Pack | null>;
  /** Whether `map` and `object` can answer for addresses that the pack does not show. */
  readonly asks: boolean;
}

/** The data that lies in the page itself. */
export class EmbeddedSource implements Source {
  readonly asks = false;

  constructor(readonly pack: Pack) {}

  map(): Promise<null> {
    return Promise.resolve(null);
  }

  object(): Promise<null> {
    return Promise.resolve(null);
  }

  /** Reads base64 of a zlib stream. Throws PackError. */
  static async read(text: string): Promise<EmbeddedSource> {
    let whole: ArrayBuffer;
    try {
      const packed = Uint8Array.from(atob(text.trim()), (char) => char.charCodeAt(0));
      whole = await inflate(packed);
    } catch {
      throw new PackError("The data of this page is spoiled: it cannot be unpacked.");
    }
    return new EmbeddedSource(openPack(whole));
  }
}

/** The content of a zlib stream. */
export async function inflate(packed: Uint8Array<ArrayBuffer>): Promise<ArrayBuffer> {
  const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("deflate"));
  return new Response(stream).arrayBuffer();
}

/** How a page finds its source: the first opener that answers. Other openers are put before this one. */
export type Opener = () => Promise<Source | null>;

export const openers: Opener[] = [
  async () => {
    const place = document.getElementById("mapscope-data");
    return place ? EmbeddedSource.read(place.textContent ?? "") : null;
  },
];
