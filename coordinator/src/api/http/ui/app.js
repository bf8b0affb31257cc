// What stands on the page, by the address behind the #; and what is always there.

import { link, token, watch } from './api.js';
import { chart } from './chart.js';
import { showFailures } from './failures.js';
import { showJob } from './job.js';
import { showJobs } from './jobs.js';
import { el, isOpen, number, readJob } from './text.js';
import { showWorkers } from './workers.js';

const main = document.getElementById('main');
const rate = chart(document.getElementById('rate'), document.getElementById('rate-text'));

/** All Jobs, by uid, and who wants to know when they change. */
export const jobs = { all: new Map(), known: false, error: undefined, listeners: new Set() };

let drawn = false;
function told() {
  // However many changes come: one look a frame.
  if (drawn) return;
  drawn = true;
  requestAnimationFrame(() => {
    drawn = false;
    totals();
    for (const listener of jobs.listeners) listener();
  });
}

function take(job) {
  const before = jobs.all.get(job.uid);
  if (before) rate.ended(job.succeeded - before.succeeded, job.failed - before.failed);
  jobs.all.set(job.uid, job);
}

function start() {
  return watch('/apis/batch/v1/jobs', {}, {
    reset(items) {
      const now = new Map(items.map(readJob).map((job) => [job.uid, job]));
      for (const job of now.values()) take(job);
      for (const uid of jobs.all.keys()) if (!now.has(uid)) jobs.all.delete(uid);
      jobs.known = true;
      told();
    },
    change(events) {
      for (const { type, object } of events) {
        if (type === 'DELETED') jobs.all.delete(object.metadata.uid);
        else take(readJob(object));
      }
      told();
    },
    failed(error) { jobs.error = error; told(); },
  });
}

function totals() {
  const open = [...jobs.all.values()].filter(isOpen);
  const sum = (of) => open.reduce((total, job) => total + of(job), 0);
  const entries = [
    ['open Jobs', open.length],
    ['pods that run', sum((job) => job.ready)],
    ['pods that wait', sum((job) => Math.max(job.active - job.ready, 0))],
    ['Jobs', jobs.all.size],
  ];
  document.getElementById('totals').replaceChildren(...entries.map(([name, count]) =>
    el('div', {}, el('dt', {}, name), el('dd', {}, number(count)))));
}

let leave = () => {};
function route() {
  leave();
  const [view = '', ...rest] = location.hash.replace(/^#\/?/, '').split('/').map(decodeURIComponent);
  const views = { '': showJobs, workers: showWorkers, failures: showFailures, job: showJob };
  const show = views[view] ?? showJobs;
  for (const anchor of document.querySelectorAll('nav a')) {
    const current = anchor.dataset.view === (view === '' || view === 'job' ? 'jobs' : view);
    if (current) anchor.setAttribute('aria-current', 'page'); else anchor.removeAttribute('aria-current');
  }
  leave = show(main, ...rest) ?? (() => {});
  document.title = rest.length ? `${rest.at(-1)} · Stint` : 'Stint';
}

addEventListener('hashchange', () => { route(); main.focus(); });
addEventListener('keydown', (event) => {
  const typing = event.target.matches('input, select, textarea');
  if (event.key === '/' && !typing) {
    const filter = main.querySelector('input');
    if (filter) { event.preventDefault(); filter.focus(); }
  }
  if (event.key === 'Escape' && location.hash.length > 2) {
    if (typing) event.target.blur(); else location.hash = '#/';
  }
  if ((event.key === 'ArrowDown' || event.key === 'ArrowUp') && !typing && !event.target.matches('canvas')) {
    const rows = [...main.querySelectorAll('a[data-row]')];
    const at = rows.indexOf(document.activeElement);
    const next = rows[at + (event.key === 'ArrowDown' ? 1 : -1)] ?? (at < 0 ? rows[0] : undefined);
    if (next) { event.preventDefault(); next.focus(); }
  }
});

const state = document.getElementById('link');
link.addEventListener('state', ({ detail: { state: word, detail } }) => {
  state.className = word === 'here' ? '' : 'away';
  state.textContent = { here: 'live', away: 'not reachable; trying again', unknown: 'a token is wanted' }[word];
  state.title = detail;
  const dialog = document.getElementById('sign-in');
  if (word === 'unknown' && !dialog.open) dialog.showModal();
});
document.getElementById('sign-in').addEventListener('close', () => {
  token.set(document.getElementById('token').value.trim());
  jobs.error = undefined;
  start();
  route();
});

start();
route();
totals();
