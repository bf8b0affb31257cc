// Failed pods of all Jobs, by what happened.

import { list } from './api.js';
import { el, number, reasonOf } from './text.js';

const EVERY = 5000;
const NAMED = 6;

export function showFailures(main) {
  const body = el('tbody');
  const note = el('p', { class: 'note', role: 'status' }, 'Loading…');
  const columns = ['What happened', 'Pods', 'Jobs', 'Workers'];
  main.replaceChildren(el('h1', {}, 'Failures by reason'),
    el('table', {}, el('thead', {}, el('tr', {}, columns.map((name) => el('th', { scope: 'col' }, name)))), body), note);

  function draw({ items, whole }) {
    const groups = new Map();
    for (const pod of items) {
      const reason = reasonOf(pod);
      const group = groups.get(reason) ?? { count: 0, jobs: new Map(), nodes: new Map() };
      group.count += 1;
      const job = `${pod.metadata.namespace}/${pod.metadata.labels?.['batch.kubernetes.io/job-name'] ?? ''}`;
      group.jobs.set(job, (group.jobs.get(job) ?? 0) + 1);
      const node = pod.spec.nodeName ?? '';
      group.nodes.set(node, (group.nodes.get(node) ?? 0) + 1);
      groups.set(reason, group);
    }
    const sorted = [...groups].sort(([, one], [, other]) => other.count - one.count);
    body.replaceChildren(...sorted.map(([reason, group]) => {
      const cells = [
        el('td', { class: 'name t-bad' }, reason),
        el('td', { class: 'number' }, number(group.count)),
        el('td', {}, el('span', {}, named(group.jobs, (job) => el('a', { href: `#/job/${job.split('/').map(encodeURIComponent).join('/')}`, 'data-row': `${reason} ${job}` }, job)))),
        el('td', {}, el('span', {}, named(group.nodes, (node) => node))),
      ];
      cells.forEach((cell, at) => cell.setAttribute('data-label', columns[at]));
      return el('tr', {}, cells);
    }));
    note.textContent = items.length === 0 ? 'No failed pods are kept.'
      : `${number(items.length)} failed pods whose records are kept${whole ? '' : ', the first of more'}.`;
  }

  let over = false;
  async function look() {
    while (!over) {
      try {
        const answer = await list('/api/v1/pods', { fieldSelector: 'status.phase=Failed' }, 10);
        if (!over) draw(answer);
      } catch (error) {
        if (!over) note.textContent = error.message;
      }
      await new Promise((done) => { setTimeout(done, EVERY); });
    }
  }
  look();
  return () => { over = true; };
}

/** The most frequent, each with its count. */
function named(counts, show) {
  const sorted = [...counts].sort(([, one], [, other]) => other - one);
  const parts = sorted.slice(0, NAMED).flatMap(([name, count], at) =>
    [at ? ', ' : '', show(name), count > 1 ? ` × ${number(count)}` : '']);
  return sorted.length > NAMED ? [...parts, `, ${sorted.length - NAMED} more`] : parts;
}
