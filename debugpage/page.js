'use strict';
// The page asks for data.json every two seconds, and keeps here what it has seen: the server has no history.
(() => {
  const every = 2000;        // milliseconds between two answers
  const keep = 301;          // answers: ten minutes
  const minute = 60_000;
  const restShare = 20;      // walking the sessions took 1, then the next walk has to wait for so many

  let seen = [];             // answers, the newest last, without their sessions
  let selected = Number(location.hash.slice(1)) || null;
  let listed = null; // the map of which sessions are shown: for a moment the one that was selected before
  let paused = false, timer, asking, walkAfter = 0;
  let failed = false;
  const order = { key: 'ID', down: false };
  const top = { by: 'age', n: 10 };
  const hidden = new Set(['replaced', 'rejected']); // causes not in the chart
  let indexOfCause = new Map();

  // ---- text ----

  const whole = new Intl.NumberFormat('en-US', { maximumFractionDigits: 0 });
  const short = new Intl.NumberFormat('en-US', { notation: 'compact', maximumFractionDigits: 1 });
  const count = n => whole.format(n);
  const orNone = (n, say = count) => n ? say(n) : '–';
  const percent = share => (100 * share).toFixed(1) + ' %';
  const rate = n => (n >= 10 ? short.format(n) : String(+n.toFixed(n < 1 ? 2 : 1))) + '/s';
  const bytes = n => n >= 2 ** 30 ? (n / 2 ** 30).toFixed(2) + ' GiB' : (n / 2 ** 20).toFixed(1) + ' MiB';
  const plural = (n, one, many = one + 's') => count(n) + ' ' + (n === 1 ? one : many);

  function duration(ns) {
    const s = ns / 1e9;
    if (s === 0) return '0 s';
    if (s < 1e-3) return (s * 1e6).toFixed(0) + ' µs';
    if (s < 1) return (s * 1e3).toFixed(s < 0.01 ? 1 : 0) + ' ms';
    if (s < 60) return Math.floor(s) + ' s';
    const units = [[86400, 'd'], [3600, 'h'], [60, 'm'], [1, 's']];
    const i = units.findIndex(([size]) => s >= size);
    const rest = i < 3 ? Math.floor(s % units[i][0] / units[i + 1][0]) : 0;
    return Math.floor(s / units[i][0]) + ' ' + units[i][1] + (rest ? ' ' + rest + ' ' + units[i + 1][1] : '');
  }

  // ---- elements ----

  const $ = id => document.getElementById(id);

  function say(where, text) {
    if (where.textContent !== text) where.textContent = text;
  }

  function element(name, attributes = {}, ...children) {
    const e = document.createElement(name);
    for (const [k, v] of Object.entries(attributes)) e.setAttribute(k, v);
    e.append(...children);
    return e;
  }

  function svg(name, attributes = {}, ...children) {
    const e = document.createElementNS('http://www.w3.org/2000/svg', name);
    for (const [k, v] of Object.entries(attributes)) e.setAttribute(k, v);
    e.append(...children);
    return e;
  }

  // fill makes the rows of a table those of items, and leaves alone what has not changed, so that the focus and
  // what is being read aloud stay where they are. A column has either text(item), or make(cell, item) for a new
  // row and, if need be, renew(cell, item) for every answer.
  const rowsOf = new WeakMap();
  function fill(table, items, key, columns) {
    const body = table.tBodies[0];
    if (!rowsOf.has(body)) { rowsOf.set(body, new Map()); body.replaceChildren(); }
    const rows = rowsOf.get(body), focused = body.contains(document.activeElement) ? document.activeElement : null;
    const left = new Set(rows.keys());
    let at = body.firstElementChild;
    for (const item of items) {
      const k = key(item);
      left.delete(k);
      let row = rows.get(k);
      if (!row) {
        row = element('tr');
        for (const c of columns) {
          const cell = element(c.head ? 'th' : 'td', c.head ? { scope: 'row' } : {});
          if (c.class) cell.className = c.class;
          row.append(cell);
          if (c.make) c.make(cell, item);
        }
        rows.set(k, row);
      }
      columns.forEach((c, i) => {
        const cell = row.cells[i];
        if (c.text) say(cell, c.text(item));
        if (c.bad) cell.classList.toggle('bad', c.bad(item));
        if (c.renew) c.renew(cell, item);
      });
      if (row === at) at = at.nextElementSibling; else body.insertBefore(row, at);
    }
    for (const k of left) { rows.get(k).remove(); rows.delete(k); }
    if (focused && document.activeElement !== focused) {
      (focused.isConnected ? focused : table.closest('.scroll')).focus({ preventScroll: true });
    }
    return rows;
  }

  // sortable puts a button into each header that can be sorted by.
  function sortable(table, choose) {
    for (const th of table.querySelectorAll('th[data-sort]')) {
      const button = element('button', { type: 'button' }, ...th.childNodes);
      button.addEventListener('click', () => choose(th.dataset.sort));
      th.append(button);
    }
  }

  function markSorted(table, key, direction) {
    for (const th of table.querySelectorAll('th[data-sort]')) {
      if (th.dataset.sort === key) th.setAttribute('aria-sort', direction); else th.removeAttribute('aria-sort');
    }
  }

  // ---- history ----

  const find = (answer, id) => answer.byID.get(id);
  const removals = (m, cause) => m.Removals[cause] || 0;
  const problems = m => m.OverdueLeases + m.LostLeases + m.CallbackPanics + m.CloseErrors;

  function endedBy(m, backstop) {
    let n = 0;
    for (const c of seen.at(-1).Causes) if (c.Ends && (!backstop || c.Backstop)) n += removals(m, c.Name);
    return n;
  }

  // points returns what value says of a map in each answer; null where it was not there.
  const points = (id, value) => seen.map(a => [a.Time, find(a, id) ? value(find(a, id)) : null]);

  // since returns by how much value has grown in the minute before answer i, or in as much of it as has been seen.
  function since(id, i, value) {
    const now = find(seen[i], id);
    let first = now;
    for (let j = i; j >= 0 && seen[i].Time - seen[j].Time <= minute + every / 2; j--) first = find(seen[j], id) || first;
    return now ? value(now) - value(first) : 0;
  }

  function backstopShares(id) {
    return seen.map((a, i) => {
      const all = since(id, i, m => endedBy(m));
      return [a.Time, all > 0 ? since(id, i, m => endedBy(m, true)) / all : null];
    });
  }

  // ---- charts ----

  const pad = { left: 46, right: 8, top: 8, bottom: 18 };

  function roundUp(v) {
    if (v <= 0) return 1;
    const unit = 10 ** Math.floor(Math.log10(v));
    return [1, 1.5, 2, 3, 4, 5, 6, 8, 10].find(f => f * unit >= v * 0.999) * unit;
  }

  function span() {
    const to = seen.at(-1).Time;
    return { from: Math.min(seen[0].Time, to - minute), to };
  }

  const ago = ms => ms >= 1.5 * minute ? Math.round(ms / minute) + ' min' : Math.round(ms / 1000) + ' s';

  // frame empties the chart of a figure, draws its axes, and returns how to place things in it.
  function frame(figure, height, max, axis) {
    const picture = figure.querySelector('svg'), width = Math.max(120, picture.clientWidth || figure.clientWidth - 34);
    picture.setAttribute('viewBox', `0 0 ${width} ${height}`);
    picture.setAttribute('height', height);
    picture.setAttribute('role', 'img');
    picture.replaceChildren();
    const { from, to } = span();
    const x = t => pad.left + (t - from) / (to - from) * (width - pad.left - pad.right);
    const y = v => height - pad.bottom - v / max * (height - pad.top - pad.bottom);
    for (const v of height < 100 ? [0, max] : [0, max / 2, max]) {
      picture.append(svg('line', { class: 'grid', x1: pad.left, x2: width - pad.right, y1: y(v), y2: y(v) }));
      picture.append(svg('text', { x: pad.left - 6, y: y(v) + 4, 'text-anchor': 'end' }, axis(v)));
    }
    picture.append(svg('text', { x: pad.left, y: height - 3 }, ago(to - from) + ' ago'));
    picture.append(svg('text', { x: width - pad.right, y: height - 3, 'text-anchor': 'end' }, 'now'));
    return { picture, x, y };
  }

  // runs cuts points where there is none, or too long none because the tab was hidden or the page paused.
  function runs(all) {
    const cut = [];
    let last = null;
    for (const p of all) {
      if (p[1] === null) { last = null; continue; }
      if (!last || p[0] - last[0] > 4 * every) cut.push([]);
      cut.at(-1).push(p);
      last = p;
    }
    return cut;
  }

  function line(run, x, y) {
    return run.map((p, i) => (i ? 'L' : 'M') + x(p[0]).toFixed(1) + ' ' + y(p[1]).toFixed(1)).join('');
  }

  function drawLine(figure, name, all, { height = 150, bound = 0, max = 0, text = count, axis = v => short.format(v), note = '' }) {
    const values = all.map(p => p[1]).filter(v => v !== null);
    const highest = Math.max(0, ...values);
    max ||= roundUp(bound && highest > bound / 2 ? Math.max(bound, highest) : highest * 1.05);
    const { picture, x, y } = frame(figure, height, max, axis);
    if (bound && bound <= max) {
      picture.append(svg('line', { class: 'bound', x1: pad.left, x2: x(span().to), y1: y(bound), y2: y(bound) }));
    }
    for (const run of runs(all)) {
      if (run.length === 1) run.push([run[0][0] + 1, run[0][1]]);
      const d = line(run, x, y);
      picture.append(svg('path', { class: 'area', d: `${d}L${x(run.at(-1)[0]).toFixed(1)} ${y(0)}L${x(run[0][0]).toFixed(1)} ${y(0)}Z` }));
      picture.append(svg('path', { class: 'stroke', d }));
    }
    const now = all.at(-1)[1];
    const range = values.length ? `from ${text(Math.min(...values))} to ${text(highest)}` : 'none yet';
    say(figure.querySelector('.now'), now === null ? '–' : text(now));
    say(figure.querySelector('.summary'), note || (bound ? `of ${text(bound)}` : ''));
    const { from, to } = span();
    picture.setAttribute('aria-label', `${name} in the last ${ago(to - from)}: now ${now === null ? 'none' : text(now)}, ${range}${bound ? ', bound ' + text(bound) : ''}.`);
    picture.dataset.points = values.length;
  }

  // spread shares out what a counter grew by between two answers over buckets of equal width, as a rate; answers do
  // not come at equal distances.
  function spread(all, from, width, buckets) {
    const grown = new Array(buckets).fill(0), covered = new Array(buckets).fill(0);
    for (let i = 1; i < all.length; i++) {
      const [a, before] = all[i - 1], [b, after] = all[i];
      if (before === null || after === null || after < before || b <= a || b - a > 4 * every) continue;
      for (let k = Math.max(0, Math.floor((a - from) / width)); k < buckets && from + k * width < b; k++) {
        const part = Math.min(b, from + (k + 1) * width) - Math.max(a, from + k * width);
        grown[k] += (after - before) * part / (b - a);
        covered[k] += part;
      }
    }
    return grown.map((g, k) => g / Math.max(covered[k], width / 4) * 1000); // of a bucket that has hardly begun, not too much
  }

  const paint = i => seen.at(-1).Causes[i].Backstop ? `url(#stripes-${i + 1})` : null;

  function drawRemovals(id) {
    const figure = $('chart-removals'), { from, to } = span(), m = find(seen.at(-1), id);
    const width = to - from <= 2 * minute ? 2000 : to - from <= 5 * minute ? 5000 : 10000;
    const begin = Math.floor(from / width) * width, buckets = Math.ceil((to - begin) / width);
    const shown = [];
    seen.at(-1).Causes.forEach((c, i) => {
      if (!hidden.has(c.Name) && removals(m, c.Name)) shown.push([i, spread(points(id, m => removals(m, c.Name)), begin, width, buckets)]);
    });
    const totals = Array.from({ length: buckets }, (_, k) => shown.reduce((n, [, rates]) => n + rates[k], 0));
    const highest = Math.max(0, ...totals), max = roundUp(highest || 1);
    const { picture, x, y } = frame(figure, 210, max, v => v ? rate(v) : '0');
    const base = new Array(buckets).fill(0), gap = buckets > 40 ? 0.5 : 1;
    for (const [i, rates] of shown) {
      let d = '';
      rates.forEach((r, k) => {
        if (r <= 0) return;
        const left = Math.max(pad.left, x(begin + k * width) + gap), right = Math.min(x(begin + (k + 1) * width), x(to)) - gap;
        if (right > left) d += `M${left.toFixed(1)} ${y(base[k]).toFixed(1)}V${y(base[k] + r).toFixed(1)}H${right.toFixed(1)}V${y(base[k]).toFixed(1)}Z`;
        base[k] += r;
      });
      const path = svg('path', { class: 'c' + (i + 1), d });
      picture.append(path);
      if (paint(i) && d) picture.append(svg('path', { fill: paint(i), d }));
    }
    const last = seen.length - 1;
    const names = shown.map(([i]) => seen[last].Causes[i])
      .map(c => [c.Words, since(id, last, m => removals(m, c.Name))]).filter(([, n]) => n)
      .sort((a, b) => b[1] - a[1]).map(([name, n]) => `${name} ${count(n)}`);
    say(figure.querySelector('.now'), rate(shown.reduce((n, [i]) => n + since(id, last, m => removals(m, seen[last].Causes[i].Name)), 0) /
      Math.max(every, Math.min(minute, to - seen[0].Time)) * 1000));
    say(figure.querySelector('.summary'), 'striped: by a backstop');
    picture.setAttribute('aria-label', `Removals by cause in the last minute: ${names.join(', ') || 'none'}.`);
    picture.dataset.points = totals.filter(n => n > 0).length;
  }

  function drawTrend(cell, m) {
    const picture = cell.firstChild, all = points(m.ID, m => m.Live), { from, to } = span();
    const highest = Math.max(1, ...all.map(p => p[1] || 0));
    const x = t => 1 + (t - from) / (to - from) * 102, y = v => 21 - v / highest * 18;
    picture.replaceChildren(...runs(all).map(run => svg('path', { class: 'stroke', d: line(run, x, y) })));
  }

  // makeStripes draws what is laid over the colours of backstop causes.
  function makeStripes(causes) {
    const defs = svg('svg', { class: 'defs', 'aria-hidden': 'true' });
    causes.forEach((c, i) => {
      if (!c.Backstop) return;
      defs.append(svg('pattern', { id: `stripes-${i + 1}`, width: 6, height: 6, patternUnits: 'userSpaceOnUse', patternTransform: 'rotate(45)' },
        svg('rect', { class: 'stripe', width: 2, height: 6 })));
    });
    document.body.append(defs);
  }

  // ---- what the page says ----

  function showProcess(now) {
    say($('process'), `${now.Process.Name}, process ${now.Process.PID}`);
    say($('clock'), (paused ? 'paused at ' : 'as of ') + new Date(now.Time).toLocaleTimeString('en-GB'));
    $('dot').classList.toggle('off', paused || failed);
    say($('total-live'), count(now.Maps.reduce((n, m) => n + m.Live, 0)));
    say($('total-maps'), `in ${plural(now.Maps.filter(m => !m.Group).length, 'map')}, ${plural(now.Maps.filter(m => m.Group).length, 'group')}`);
    const last = seen.length - 1;
    const ended = now.Maps.reduce((n, m) => n + since(m.ID, last, m => endedBy(m)), 0);
    const backstop = now.Maps.reduce((n, m) => n + since(m.ID, last, m => endedBy(m, true)), 0);
    say($('total-ended'), count(ended));
    say($('total-explicit'), 'in the last minute' + (ended ? `, ${percent(backstop / ended)} by a backstop` : ''));
    const wrong = now.Maps.reduce((n, m) => n + problems(m), 0);
    say($('total-problems'), count(wrong));
    $('total-problems').classList.toggle('bad', wrong > 0);
    say($('total-problems-note'), wrong ? 'in ' + plural(now.Maps.filter(problems).length, 'map or group', 'maps and groups') : 'leases, callbacks, closing');
    const limit = now.Process.MemLimit || 0;
    drawLine($('chart-heap'), 'Live heap of the process', seen.map(a => [a.Time, a.Process.LiveHeap]), {
      height: 74, bound: limit, text: bytes, note: limit ? 'limit ' + bytes(limit) : 'no memory limit set',
      axis: v => v ? (v / 2 ** 20).toFixed(v < 10 * 2 ** 20 ? 1 : 0) + ' M' : '0', max: niceBytes(limit),
    });
  }

  function niceBytes(limit) {
    const highest = Math.max(...seen.map(a => a.Process.LiveHeap)) / 2 ** 20;
    return roundUp(limit && highest > limit / 2 ** 21 ? Math.max(highest, limit / 2 ** 20) : highest * 1.05) * 2 ** 20;
  }

  const mapColumns = [
    { head: true, make(cell, m) {
      const button = element('button', { type: 'button' });
      button.addEventListener('click', event => { event.stopPropagation(); select(m.ID); });
      cell.append(button, ' ', element('span', { class: 'muted' }, m.Group ? 'group' : 'map'));
      cell.parentElement.addEventListener('click', () => select(m.ID));
    }, renew(cell, m) {
      say(cell.firstChild, m.Label);
      cell.firstChild.setAttribute('aria-pressed', m.ID === selected);
      cell.parentElement.classList.toggle('chosen', m.ID === selected);
    } },
    { class: 'trend', make: cell => cell.append(svg('svg', { width: 104, height: 24, 'aria-hidden': 'true' })), renew: drawTrend },
    { class: 'number', text: m => count(m.Live) },
    { class: 'number', text: m => orNone(m.MaxSize) },
    { class: 'number', text: m => m.Cost || m.MaxCost ? count(m.Cost) : '–' },
    { class: 'number', text: m => orNone(m.MaxCost) },
    { class: 'number', text: m => count(m.Ended) },
    { class: 'number', text: m => percent(m.BackstopShare) },
    { class: 'number', text: m => orNone(m.Leases) },
    { class: 'number', text: m => orNone(problems(m)), bad: m => problems(m) > 0 },
  ];

  function showMaps(now) {
    const value = m => order.key === 'Problems' ? problems(m) : m[order.key];
    const sorted = [...now.Maps].sort((a, b) => {
      const [x, y] = [value(a), value(b)];
      const c = typeof x === 'string' ? x.localeCompare(y) : x - y;
      return (order.down ? -c : c) || a.ID - b.ID;
    });
    fill($('maps'), sorted, m => m.ID, mapColumns);
    markSorted($('maps'), order.key, order.down ? 'descending' : 'ascending');
  }

  function facts(m) {
    const { Hits: hits, Misses: misses, CallbackPanics: panics, CloseErrors: closeErrors } = m;
    return [
      ['Bounds', [['Max size', orNone(m.MaxSize)], ['Max cost', orNone(m.MaxCost)], ['Idle timeout', orNone(m.IdleTimeout, duration)], ['Lifetime', orNone(m.Lifetime, duration)]]],
      ['Use', [['Found', count(hits)], ['Missed', count(misses)], ['Hit rate', hits + misses ? percent(hits / (hits + misses)) : '–'], [m.Group ? 'Sessions begun' : 'Set', count(m.Sets)]]],
      ['Leases', [['Held', count(m.Leases)], ['Overdue', count(m.OverdueLeases), m.OverdueLeases], ['Lost', count(m.LostLeases), m.LostLeases]]],
      ['Upkeep', [['Sweeps', count(m.Sweeps)], ['Longest sweep', duration(m.LongestSweep)], ['Callback panics', count(panics), panics], ['Close errors', count(closeErrors), closeErrors]]],
    ];
  }

  function showFacts(m) {
    const all = facts(m), box = $('facts');
    if (!box.children.length) {
      for (const [title, rows] of all) {
        box.append(element('div', {}, element('h3', {}, title), element('dl', {}, ...rows.flatMap(() => [element('dt'), element('dd')]))));
      }
    }
    all.forEach(([, rows], i) => rows.forEach(([name, text, bad], k) => {
      const list = box.children[i].lastChild, dd = list.children[2 * k + 1];
      say(list.children[2 * k], name);
      say(dd, bad ? '⚠ ' + text : text);
      dd.classList.toggle('bad', !!bad);
    }));
  }

  const causeColumns = [
    { make(cell, c) {
      const picture = svg('svg', { width: 14, height: 14, 'aria-hidden': 'true' }, svg('rect', { width: 14, height: 14, class: 'c' + (c.index + 1) }));
      if (c.Backstop) picture.append(svg('rect', { width: 14, height: 14, fill: `url(#stripes-${c.index + 1})` }));
      const button = element('button', { type: 'button', class: 'toggle' }, picture, element('span', {}, c.Words));
      button.addEventListener('click', () => {
        if (!hidden.delete(c.Name)) hidden.add(c.Name);
        show();
      });
      cell.append(button);
    }, renew: (cell, c) => cell.firstChild.setAttribute('aria-pressed', !hidden.has(c.Name)) },
    { class: 'number', text: c => count(c.lately) },
    { class: 'number', text: c => count(c.total) },
    { class: 'muted', text: c => c.Backstop ? 'backstop' : c.Ends ? 'asked for' : 'value only' },
  ];

  function showRemovals(m) {
    const all = seen.at(-1).Causes.map((c, index) => ({
      ...c, index, total: removals(m, c.Name), lately: since(m.ID, seen.length - 1, m => removals(m, c.Name)),
    }));
    fill($('causes'), all.filter(c => c.total), c => c.Name, causeColumns);
    drawRemovals(m.ID);
  }

  const attributeColumns = [
    { head: true, text: a => a.Name || 'attribute ' + (a.index + 1) },
    { class: 'number', text: a => count(a.Live) },
    { class: 'number', text: a => orNone(a.Cost) },
    { class: 'number', text: a => count(a.Sets) },
    { class: 'number', text: a => count(a.Hits) },
    { class: 'number', text: a => count(a.Misses) },
    { class: 'number', text: a => count(Object.values(a.Removals).reduce((n, c) => n + c, 0)) },
    { class: 'number', text: a => orNone(a.CallbackPanics), bad: a => a.CallbackPanics > 0 },
    { class: 'number', text: a => orNone(a.CloseErrors), bad: a => a.CloseErrors > 0 },
  ];

  function showMap(now) {
    const m = find(now, selected), section = $('map');
    section.hidden = !m;
    if (!m) return;
    say($('map-name'), m.Label);
    say($('map-type'), m.Group ? `a group of sessions by ${m.KeyType}` : `a map from ${m.KeyType} to ${m.ValueType}`);
    showFacts(m);
    drawLine($('chart-size'), 'Size', points(m.ID, m => m.Live), { bound: m.MaxSize });
    $('chart-cost').hidden = !m.Cost && !m.MaxCost;
    if (!$('chart-cost').hidden) drawLine($('chart-cost'), 'Cost', points(m.ID, m => m.Cost), { bound: m.MaxCost });
    drawLine($('chart-backstop'), 'Share of the sessions that ended by a backstop', backstopShares(m.ID), {
      max: 1, text: percent, axis: v => 100 * v + ' %', note: `since start ${percent(m.BackstopShare)}`,
    });
    showRemovals(m);
    $('attributes-section').hidden = !m.Attributes;
    $('attributes').classList.toggle('no-cost', !(m.Attributes || []).some(a => a.Cost));
    if (m.Attributes) fill($('attributes'), m.Attributes.map((a, index) => ({ ...a, index })), a => a.index, attributeColumns);
  }

  const sessionColumns = [
    { head: true, class: 'code', text: s => s.Key ?? s.ID },
    { class: 'number', text: s => duration(s.Age) },
    { class: 'number', text: s => duration(s.Idle) },
    { class: 'number', text: s => s.Leases ? 'leased' : s.Expires ? duration(Math.max(0, s.Expires)) : 'never' },
    { class: 'number', text: s => count(s.Cost) },
    { class: 'number', text: s => orNone(s.Leases) },
    { class: 'number', text: s => orNone(s.Attributes) },
  ];
  const actionColumn = { class: 'number', make(cell, s) {
    const button = element('button', { type: 'button', class: 'danger', 'aria-label': 'End session ' + (s.Key ?? s.ID) }, 'End');
    button.addEventListener('click', () => end(listed, s));
    cell.append(button);
  } };

  function showSessions(t, actions) {
    listed = t.Map;
    fill($('sessions'), t.Sessions, s => s.ID, actions ? [...sessionColumns, actionColumn] : sessionColumns);
    const names = { age: 'the oldest', idle: 'the longest idle', cost: 'the most costly', leases: 'the most leased' };
    say($('sessions-note'), t.Sessions.length ? `${plural(t.Sessions.length, 'session')} of ${count(t.Walked)}, ${names[t.By]} first; looking took ${duration(t.Took)}.` : 'No sessions now.');
  }

  function show() {
    const now = seen.at(-1);
    if (!now) return;
    showProcess(now);
    showMaps(now);
    showMap(now);
  }

  // ---- asking ----

  async function ask() {
    clearTimeout(timer);
    asking?.abort();
    const abort = asking = new AbortController();
    let url = 'data.json';
    if (selected && Date.now() >= walkAfter) url += '?' + new URLSearchParams({ map: selected, by: top.by, n: top.n });
    let answer;
    try {
      const response = await fetch(url, { cache: 'no-store', signal: abort.signal });
      if (response.ok) answer = await response.json();
    } catch { /* no answer */ }
    if (abort !== asking) return;
    asking = null;
    wait();
    if (answer) { take(answer); return; }
    failed = true;
    $('dot').classList.add('off');
    say($('status'), 'The process does not answer; asking again.');
  }

  function wait() {
    clearTimeout(timer);
    if (!paused && !document.hidden && !asking) timer = setTimeout(ask, every);
  }

  function take(answer) {
    if (failed) say($('status'), '');
    failed = false;
    if (seen.length && seen.at(-1).Process.Run !== answer.Process.Run) {
      seen = [];
      selected = null;
      say($('status'), 'The process has been started anew.');
    }
    if (!seen.length && !document.querySelector('.defs')) makeStripes(answer.Causes);
    const sessions = answer.Top;
    delete answer.Top;
    answer.Time = performance.timeOrigin + performance.now(); // whatever becomes of the clocks
    answer.byID = new Map(answer.Maps.map(m => [m.ID, m]));
    seen.push(answer);
    if (seen.length > keep) seen.shift();
    if (!find(answer, selected)) {
      if (selected && seen.length > 1) say($('status'), 'The map that was selected has been closed.');
      selected = answer.Maps[0]?.ID ?? null;
      walkAfter = 0;
      if (selected) setTimeout(ask);
    }
    show();
    if (sessions && sessions.Map === selected && sessions.By === top.by) {
      walkAfter = Date.now() + restShare * sessions.Took / 1e6;
      showSessions(sessions, answer.Actions);
    }
  }

  function select(id) {
    selected = id;
    history.replaceState(null, '', '#' + id);
    askSessions();
  }

  // askSessions shows at once what is known and asks for what is not, also while paused: somebody wants it.
  function askSessions() {
    walkAfter = 0;
    markSorted($('sessions'), top.by, 'descending');
    show();
    ask();
  }

  async function end(map, session) {
    const dialog = $('confirm');
    say($('confirm-text'), `${session.Key ?? session.ID} leaves ${find(seen.at(-1), map)?.Label ?? 'the map'}, and cannot be brought back.`);
    dialog.returnValue = '';
    dialog.showModal();
    await new Promise(done => dialog.addEventListener('close', done, { once: true }));
    if (dialog.returnValue !== 'end') return;
    try {
      const answer = await fetch('end', { method: 'POST', body: new URLSearchParams({ map, session: session.ID }) });
      if (!answer.ok) throw new Error(answer.statusText);
      say($('status'), (await answer.json()).Ended ? 'The session has been ended.' : 'The session had ended before.');
    } catch (err) {
      say($('status'), 'The session has not been ended: ' + err.message);
    }
    askSessions();
  }

  function pause() {
    paused = !paused;
    say($('pause'), paused ? 'Resume' : 'Pause');
    say($('status'), paused ? 'Paused. What is shown stays as it is.' : '');
    if (paused) { clearTimeout(timer); asking?.abort(); asking = null; show(); } else ask();
  }

  sortable($('maps'), key => {
    order.down = order.key === key ? !order.down : key !== 'Label';
    order.key = key;
    show();
  });
  sortable($('sessions'), key => { top.by = key; askSessions(); });
  markSorted($('sessions'), top.by, 'descending');
  $('count').addEventListener('change', event => { top.n = Number(event.target.value); askSessions(); });
  $('pause').addEventListener('click', pause);
  document.addEventListener('visibilitychange', () => {
    if (document.hidden) clearTimeout(timer); else if (!paused) ask();
  });
  let width = 0;
  new ResizeObserver(([main]) => {
    if (main.contentRect.width !== width) requestAnimationFrame(show);
    width = main.contentRect.width;
  }).observe(document.querySelector('main'));
  $('controls').hidden = $('tile-ended').hidden = false;
  ask();
})();
