// Cedar, cut into what is coloured alike. It says nothing about whether a text is valid: the server does.

export type Kind = "comment" | "text" | "keyword" | "annotation" | "type" | "number" | "plain";

export interface Token {
  kind: Kind;
  text: string;
}

const KEYWORDS = new Set(
  "permit forbid when unless principal action resource context in is has like if then else true false".split(" "),
);
// Each alternative takes all that it can and never looks back: a text of any size is read once.
const PIECES = /(\/\/[^\n]*)|("(?:\\.|[^"\\\n])*"?)|(@[A-Za-z_]\w*)|([A-Za-z_]\w*)|(\d+)/g;
/** What is longer is shown without colours. */
const MOST = 200_000;

function wordKind(word: string, after: string): Kind {
  if (after === "::") return "type";
  return KEYWORDS.has(word) ? "keyword" : "plain";
}

/** The lines of a text, each in its tokens. */
export function linesOf(text: string): Token[][] {
  if (text.length > MOST) return text.split("\n").map((line) => [{ kind: "plain", text: line }]);
  const lines: Token[][] = [[]];
  const put = (kind: Kind, piece: string) => {
    for (const [index, part] of piece.split("\n").entries()) {
      if (index > 0) lines.push([]);
      if (part) lines.at(-1)?.push({ kind, text: part });
    }
  };
  let done = 0;
  for (const found of text.matchAll(PIECES)) {
    const [piece, comment, string, annotation, word] = found;
    put("plain", text.slice(done, found.index));
    done = found.index + piece.length;
    if (comment !== undefined) put("comment", piece);
    else if (string !== undefined) put("text", piece);
    else if (annotation !== undefined) put("annotation", piece);
    else if (word !== undefined) put(wordKind(word, text.slice(done, done + 2)), piece);
    else put("number", piece);
  }
  put("plain", text.slice(done));
  return lines;
}
