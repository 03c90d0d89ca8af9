/** Asks the server; throws what it says went wrong. */
export async function get<T>(path: string, query: Record<string, string> = {}): Promise<T> {
  const search = new URLSearchParams(query).toString();
  return answer<T>(await fetch(search ? `${path}?${search}` : path));
}

export async function post<T>(path: string, body: unknown, token: string): Promise<T> {
  const headers = { 'content-type': 'application/json', authorization: `Bearer ${token}` };
  return answer<T>(await fetch(path, { method: 'POST', headers, body: JSON.stringify(body) }));
}

async function answer<T>(response: Response): Promise<T> {
  const content: unknown = await response.json().catch(() => ({}));
  if (response.ok) return content as T;
  throw new Error((content as { error?: string }).error ?? `the server answers ${response.status}`);
}
