// All Jobs, those that go on first.

import { jobs } from './app.js';
import { duration, el, isOpen, meter, number, stateText } from './text.js';

const SHOWN = 300;
const COLUMNS = ['Job', 'State', 'Progress', 'Complete', 'Active', 'Failed', 'Time'];

export function showJobs(main) {
  const filter = el('input', { type: 'search', size: '34', placeholder: 'Filter by name, namespace, state', 'aria-label': 'Filter' });
  const body = el('tbody');
  const note = el('p', { class: 'note', role: 'status' });
  const table = el('table', {},
    el('thead', {}, el('tr', {}, COLUMNS.map((name, at) => el('th', { scope: 'col', class: at > 2 ? 'number' : undefined }, name)))),
    body);
  main.replaceChildren(el('h1', {}, 'Jobs'), el('div', { class: 'bar-line' }, filter), table, note);

  function draw() {
    if (jobs.error) { note.textContent = jobs.error.message; return; }
    const words = filter.value.toLowerCase().split(/\s+/).filter(Boolean);
    const matches = (job) => words.every((word) => `${job.namespace}/${job.name} ${job.state}`.toLowerCase().includes(word));
    const found = [...jobs.all.values()].filter(matches)
      .sort((one, other) => isOpen(other) - isOpen(one) || other.created - one.created);
    const focused = document.activeElement?.dataset?.row;
    body.replaceChildren(...found.slice(0, SHOWN).map(row));
    if (focused) body.querySelector(`a[data-row="${CSS.escape(focused)}"]`)?.focus();
    note.textContent = !jobs.known ? 'Loading…' : found.length === 0 ? 'No such Jobs.'
      : found.length > SHOWN ? `${number(found.length - SHOWN)} more: filter to see them.` : '';
  }

  filter.addEventListener('input', draw);
  jobs.listeners.add(draw);
  // Times go on also where nothing changes.
  const clock = setInterval(draw, 5000);
  draw();
  return () => { jobs.listeners.delete(draw); clearInterval(clock); };
}

function row(job) {
  const whole = job.completions ?? Math.max(job.succeeded + job.active, 1);
  const label = `${number(job.succeeded)} of ${job.completions === undefined ? 'a work queue' : number(whole)}, ${number(job.failed)} failed`;
  const left = whole - job.succeeded;
  const bar = meter([['good', job.succeeded], ['run', Math.min(job.ready, left)], ['wait', Math.min(job.active - job.ready, left)]], whole, label);
  const time = duration((job.ended ?? Date.now()) - (job.started ?? job.created));
  const cells = [
    el('td', { class: 'name' }, el('a', { href: `#/job/${encodeURIComponent(job.namespace)}/${encodeURIComponent(job.name)}`, 'data-row': job.uid },
      el('span', { class: 't-soft' }, `${job.namespace}/`), job.name)),
    el('td', {}, stateText(job)),
    el('td', {}, bar),
    el('td', { class: 'number' }, `${number(job.succeeded)}${job.completions === undefined ? '' : ` / ${number(job.completions)}`}`),
    el('td', { class: 'number' }, number(job.active)),
    el('td', { class: `number ${job.failed ? 't-bad' : ''}` }, number(job.failed)),
    el('td', { class: 'number' }, job.started ? time : ''),
  ];
  cells.forEach((cell, at) => cell.setAttribute('data-label', COLUMNS[at]));
  return el('tr', {}, cells);
}
