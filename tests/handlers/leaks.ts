import type { Analysis } from "../../src/types.ts";
import { base64 } from "./requests.ts";

/** What must be in no log and no trace. */
export interface Secrets {
  images: readonly Uint8Array[];
  /** What was found in them. */
  answers: readonly Analysis[];
  /** Keys, tokens, file names, and words a client put where it could. */
  words: readonly string[];
}

/** Characters of an image's text in a row that are no chance. */
const WINDOW = 12;

/** Words of what faces show, wherever they may come from. */
const FINDINGS = [
  /\b(neutral|happiness|surprise|sadness|anger|disgust|fear|contempt)\b/,
  /\b(wo)?man\b/i,
  /\bAU\d\d\b/,
  /\b(faceTooSmall|blurred|extremePose|tooDark|overexposed|truncated)\b/,
  /boundingBox|landmarks?|(right|left)(Eye|MouthCorner)|noseTip|score/i,
  /evidence|gradCam|guidedBackprop|attention|difference|data:/,
];
/** An address with a query, or a query by itself. */
const QUERY = /\w:\/\/[^\s"]*\?|\?\w+=|&\w+=/;

/** What finds every leak in a text; it finds none where all is well. */
export function leakFinder(secrets: Secrets): (text: string) => string[] {
  const words = secrets.words.map((word) => word.toLowerCase());
  const numbers = secrets.answers.flatMap(findingsOf);
  const windows = new Set(
    secrets.images.flatMap(spellings).flatMap(windowsOf),
  );
  return (text) => {
    // The one error code that has a label's name in it.
    const plain = text.replaceAll("no_face_in_neutral", "");
    const lower = plain.toLowerCase();
    const written = new Set(plain.match(NUMBER));
    return [
      ...[...FINDINGS, QUERY].flatMap((sign) => sign.exec(plain)?.[0] ?? []),
      ...words.filter((word) => lower.includes(word)),
      ...numbers.filter((number) => written.has(number)),
      ...windowsOf(plain).filter((window) => windows.has(window)).slice(0, 1),
    ];
  };
}

/** A number with so many digits that no other is the same by chance. */
const NUMBER = /\d+\.\d{4,}(?:e-?\d+)?/g;

/** The numbers of an answer's faces that are unlikely to be any other's. */
function findingsOf({ faces }: Analysis): string[] {
  return JSON.stringify(faces).match(NUMBER) ?? [];
}

/** The ways bytes might get into a text, from their beginning and from their middle. */
function spellings(image: Uint8Array): string[] {
  const middle = image.length >> 1;
  return [0, middle].flatMap((start) => {
    const part = image.subarray(start, start + 3000);
    const latin = Array.from(part, (byte) => String.fromCharCode(byte)).join(
      "",
    );
    return [
      ...[0, 1, 2].map((shift) => base64(part.subarray(shift))),
      part.toHex(),
      latin,
      new TextDecoder().decode(part).replaceAll("\ufffd", ""),
      JSON.stringify(latin),
      Array.from(part).join(","),
      Array.from(part).join(", "),
      JSON.stringify(part),
    ];
  });
}

function windowsOf(text: string): string[] {
  const windows = [];
  for (let at = 0; at + WINDOW <= text.length; at++) {
    windows.push(text.slice(at, at + WINDOW));
  }
  return windows;
}
