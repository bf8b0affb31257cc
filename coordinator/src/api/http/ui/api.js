// The API as any client sees it: lists, and watches that go on by themselves.

const PAGE = 500;
const LONGEST_PAUSE = 10_000;

const KEY = 'stint-token';
export const token = {
  get: () => sessionStorage.getItem(KEY),
  set: (text) => sessionStorage.setItem(KEY, text),
};

/** An answer that is an error. */
export class Refused extends Error {
  constructor(code, message) { super(message); this.code = code; }
}

/** Tells whoever listens whether the API can be reached. */
export const link = new EventTarget();
const say = (state, detail = '') => link.dispatchEvent(new CustomEvent('state', { detail: { state, detail } }));

export async function ask(path, params = {}, options = {}) {
  const query = new URLSearchParams(Object.entries(params).filter(([, value]) => value !== undefined && value !== ''));
  const headers = { Accept: 'application/json', ...options.headers };
  if (token.get()) headers.Authorization = `Bearer ${token.get()}`;
  const response = await fetch(`${path}?${query}`, { ...options, headers, cache: 'no-store' });
  if (response.ok) return response;
  const text = await response.text();
  let message = text;
  try { message = JSON.parse(text).message ?? text; } catch { /* It is no Status. */ }
  if (response.status === 401) say('unknown');
  throw new Refused(response.status, message);
}

/** All pages of a list, at most so many. */
export async function list(path, params = {}, most = 40, options = {}) {
  let items = [];
  let next;
  for (let page = 0; page < most; page += 1) {
    const answer = await (await ask(path, { ...params, limit: PAGE, continue: next }, options)).json();
    items = items.concat(answer.items ?? []);
    next = answer.metadata?.continue;
    if (!next) return { items, version: answer.metadata?.resourceVersion, whole: true };
  }
  return { items, whole: false };
}

/**
 * Lists, then watches. `reset(items)` has all there is, `change(events)` what came since; both until
 * the function that is returned is called.
 */
export function watch(path, params, { reset, change, failed }) {
  const stop = new AbortController();
  const run = async () => {
    let version;
    let pause = 500;
    while (!stop.signal.aborted) {
      try {
        if (!version) {
          const answer = await list(path, params, 200, { signal: stop.signal });
          version = answer.version;
          reset(answer.items);
        }
        say('here');
        version = await follow(path, params, version, change, stop.signal);
        pause = 500;
      } catch (error) {
        if (stop.signal.aborted) return;
        if (error instanceof Refused && error.code === 410) { version = undefined; continue; }
        if (error instanceof Refused && error.code < 500 && error.code !== 429) { failed?.(error); return; }
        console.warn(`watching ${path}:`, error);
        say('away', error.message);
        await new Promise((done) => { setTimeout(done, pause); });
        pause = Math.min(pause * 2, LONGEST_PAUSE);
      }
    }
  };
  run();
  return () => stop.abort();
}

/** One stream of a watch; the version to go on from. */
async function follow(path, params, version, change, signal) {
  const asked = { ...params, watch: 'true', allowWatchBookmarks: 'true', resourceVersion: version };
  const reader = (await ask(path, asked, { signal })).body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = '';
  let last = version;
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return last;
    const lines = (rest + value).split('\n');
    rest = lines.pop();
    const events = lines.filter((line) => line).map((line) => JSON.parse(line));
    const error = events.find((event) => event.type === 'ERROR');
    if (error) throw new Refused(error.object.code, error.object.message);
    for (const event of events) last = event.object.metadata?.resourceVersion ?? last;
    change(events.filter((event) => event.type !== 'BOOKMARK'));
  }
}
