// The attempts of one index: when they waited and ran, how they ended, what they wrote.

import { ask, list } from './api.js';
import { duration, el, readTimes, reasonOf } from './text.js';

const EVERY = 3000;
const LINES = 200;
const INDEX = 'batch.kubernetes.io/job-completion-index';

export function showCell(place, { namespace, name, uid, index, indexed }) {
  const title = indexed ? `Index ${index}` : 'Pods';
  const body = el('div', {}, el('p', { class: 'note' }, 'Loading…'));
  place.replaceChildren(el('h2', {}, title), body);
  const logs = new Map();
  let before = '';

  async function look() {
    const selector = `batch.kubernetes.io/controller-uid=${uid}${indexed ? `,${INDEX}=${index}` : ''}`;
    const path = `/api/v1/namespaces/${encodeURIComponent(namespace)}/pods`;
    const { items } = await list(path, { labelSelector: selector }, 1);
    const pods = items.map((pod) => ({ pod, times: readTimes(pod) })).sort((one, other) => one.times.created - other.times.created);
    // Without indexes nobody knows which cell is which pod: the last ones are shown.
    const shown = indexed ? pods : pods.slice(-20);
    const now = JSON.stringify(shown.map(({ pod }) => [pod.metadata.uid, pod.status]));
    if (now === before) return;
    before = now;
    const commands = [`stint logs ${name} -n ${namespace}${indexed ? ` --index ${index}` : ''}`, `stint trace ${name} -n ${namespace}`];
    body.replaceChildren(
      ...(shown.length === 0 ? [el('p', { class: 'note' }, 'It has no pod yet, or its records are no longer kept.')]
        : shown.map((entry, at) => attempt(entry, at, shown, indexed))),
      ...commands.map((command) => el('div', { class: 'note' }, el('code', {}, command))));
  }

  function attempt({ pod, times }, at, all, numbered) {
    const { phase } = pod.status;
    const kind = { Succeeded: 'good', Failed: 'bad', Running: 'run' }[phase] ?? 'wait';
    const first = all[0].times.created;
    const last = Math.max(...all.map((it) => it.times.finished ?? Date.now()));
    const share = (time) => 100 * (time - first) / Math.max(last - first, 1);
    const bar = (from, to, name) => el('i', { class: `s-${name}`, style: `left:${share(from)}%;width:${Math.max(share(to) - share(from), 0)}%` });
    const begun = times.started ?? times.finished ?? Date.now();
    const end = times.finished ?? Date.now();
    const waited = duration((times.claimed ?? Date.now()) - times.created);
    const ran = times.started ? duration(end - times.started) : '';
    const bars = [bar(times.created, begun, 'wait'), times.started ? bar(times.started, end, kind) : undefined];
    const output = logs.get(pod.metadata.uid) ?? el('pre', { hidden: true, tabindex: 0, 'aria-label': 'Output' });
    logs.set(pod.metadata.uid, output);
    const button = el('button', { type: 'button', on: { click: () => read(pod, output) } }, 'Output');
    return el('div', { class: 'attempt' },
      el('div', {}, el('strong', {}, numbered ? `Attempt ${at}` : pod.metadata.name), ' ',
        el('span', { class: `t-${kind}` }, phase === 'Failed' ? reasonOf(pod) : phase)),
      el('div', { class: 'time', role: 'img', 'aria-label': `waited ${waited}, ran ${ran || 'not yet'}` }, bars),
      el('div', { class: 'note' }, `waited ${waited}${ran ? `, ran ${ran}` : ''}${pod.spec.nodeName ? ` on ${pod.spec.nodeName}` : ''}`),
      el('div', { class: 'note' }, el('code', {}, pod.metadata.name)),
      button, output);
  }

  async function read(pod, output) {
    if (!output.hidden) { output.hidden = true; return; }
    output.hidden = false;
    output.textContent = '…';
    const path = `/api/v1/namespaces/${encodeURIComponent(namespace)}/pods/${encodeURIComponent(pod.metadata.name)}/log`;
    try {
      const text = await (await ask(path, { tailLines: LINES }, { headers: { Accept: '*/*' } })).text();
      output.textContent = text || '(it wrote nothing)';
      output.scrollTop = output.scrollHeight;
    } catch (error) {
      output.textContent = error.message;
    }
  }

  let over = false;
  async function go() {
    while (!over) {
      try { await look(); } catch (error) { if (!over) body.replaceChildren(el('p', { class: 'note' }, error.message)); }
      await new Promise((done) => { setTimeout(done, EVERY); });
    }
  }
  go();
  return () => { over = true; };
}
