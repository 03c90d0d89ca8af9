/** A URL with `***` for its password, also where it is no valid URL; without the file that it came from. */
export function withoutPassword(url: string): string {
  const [scheme = '', rest = ''] = splitScheme(url.replace(/[?&]secretFile=[^&]*$/, ''));
  return scheme + withoutLogin(rest, scheme !== '').replace(/([?&](?:\w*password|passwd|pwd|auth)=)[^&]*/gi, '$1***');
}

/** The last resort for text that others wrote, such as a stack: the words in it that are URLs with a login. */
export function withoutPasswords(text: string): string {
  return text.replace(/[\w+.-]+:\/\/[^\s"]*@[^\s"]*/g, withoutPassword);
}

function splitScheme(url: string): string[] {
  const scheme = /^[\w+.-]+:\/\//.exec(url)?.[0] ?? '';
  return [scheme, url.slice(scheme.length)];
}

/** From the first colon to the last @ is the password, whatever stands in it. */
function withoutLogin(rest: string, isUrl: boolean): string {
  const [colon, at] = [rest.indexOf(':'), rest.lastIndexOf('@')];
  if (at > colon && colon >= 0) return `${rest.slice(0, colon)}:***${rest.slice(at)}`;
  // Without an @ the host was forgotten, unless what follows the colon is a port.
  const forgotten = isUrl && /^[^:@/?#[]*:(?!\d*(?:[/?#,]|$))/.exec(rest)?.[0];
  return forgotten ? `${forgotten}***` : rest;
}
