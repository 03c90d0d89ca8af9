/** Control and format characters, lone halves of pairs, and the line ends that not everybody takes for such. */
const unprintable = /[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/gu;

/** Without what a terminal obeys, or what turns the direction of a text: such characters as escapes, `\u{1b}`. One line stays one. */
export function oneLine(text: string): string {
  return text.replaceAll(unprintable, (character) => `\\u{${character.codePointAt(0)?.toString(16)}}`);
}

/** As `oneLine`, but line ends and tabs stay as they are. */
export function printable(text: string): string {
  return text.replaceAll('\r\n', '\n').replaceAll(/[^\n\t]+/g, oneLine);
}

/** JSON in which such characters are written as JSON's own escapes: the same value, without effect on a terminal. */
export function printableJson(json: string): string {
  return json.replaceAll(unprintable, (character) =>
    [...Array(character.length).keys()]
      .map((at) => `\\u${character.charCodeAt(at).toString(16).padStart(4, '0')}`)
      .join(''),
  );
}

/** The beginning of a long text, with an ellipsis. */
export function shorten(text: string, maxLength: number): string {
  return text.length > maxLength ? `${text.slice(0, maxLength)}…` : text;
}
