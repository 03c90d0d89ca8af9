/** The URL with `***` for its password, also where it is no valid URL: what may stand in a message or log. */
export function withoutPassword(url: string): string {
  return url
    .replace(/(:\/\/[^:@/?#[\s"]*):.*@/gs, '$1:***@')
    .replace(/(:\/\/[^:@/?#[\s"]*):(?!\*\*\*@|\d*(?:[/?#,\s")]|$))[^\s"]*/g, '$1:***')
    .replace(/([?&](?:\w*password|passwd|pwd|auth)=)[^&\s"]*/gi, '$1***');
}
