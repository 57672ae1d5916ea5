// Moves the threshold and looks the counts up; nothing is computed twice. The counts of every place of the
// slider come with the page, counted from the exact raw scores.
'use strict';
for (const box of document.querySelectorAll('[data-live]')) {
  const data = JSON.parse(box.dataset.live);
  const slider = box.querySelector('input'), hint = box.querySelector('.hint');
  const back = hint.querySelector('button'), chart = box.querySelector('svg.chart');
  const steps = Number(slider.max), [normal, anomalous, calibration] = data.totals;
  const near = Math.round(steps * (data.cut - data.low) / (data.high - data.low));
  const own = Math.min(steps, Math.max(0, near));
  const say = (name, text) => {
    const place = box.querySelector(`[data-say="${name}"]`);
    if (place) place.textContent = text;
  };
  const short = x => x > 0.999 && x < 1 ? Math.floor(1e5 * x) / 1e3 : Number((100 * x).toPrecision(3));
  const percent = x => `${short(x)} %`;
  const share = (n, of) => of ? `${n} of ${of} (${percent(n / of)})` : 'none there';
  const set = (selector, values) => {
    const part = chart.querySelector(selector);
    for (const [name, value] of Object.entries(values)) part.setAttribute(name, value);
  };
  const dots = box.closest('section').querySelectorAll('[data-dot]');
  const show = () => {
    const step = Number(slider.value), exact = step === own;
    const cut = exact ? data.cut : data.low + (data.high - data.low) * step / steps;
    const [alarms, misses, above] = exact ? data.at : ['alarms', 'misses', 'above'].map(k => data[k][step]);
    const at = Math.min(100, Math.max(0, 100 * (cut - data.low) / (data.high - data.low)));
    const text = Number(cut.toPrecision(6)).toString();
    set('.cut', {x1: `${at}%`, x2: `${at}%`});
    set('.cut-text', {x: `${at}%`, dx: at < 50 ? 6 : -6, 'text-anchor': at < 50 ? 'start' : 'end'});
    chart.querySelector('.cut-text').textContent = `threshold ${Number(cut.toPrecision(4))}`;
    set('.alarms', {x: `${at}%`, width: `${100 - at}%`});
    set('.misses', {width: `${at}%`});
    say('cut', text);
    say('given', cut);  // with every digit: a rounded one may lie on the other side of a score
    say('alarms', share(alarms, normal));
    say('misses', share(misses, anomalous));
    if (calibration) say('rate', percent((1 + above) / (calibration + 1)));
    slider.setAttribute('aria-valuetext',
      `${text}: false alarms ${share(alarms, normal)}, misses ${share(misses, anomalous)}`);
    back.disabled = exact;
    const hits = anomalous - misses;
    for (const dot of dots) {
      const roc = dot.dataset.dot === 'roc', flagged = alarms + hits;
      const x = roc ? alarms / normal : hits / anomalous, y = roc ? hits / anomalous : hits / flagged;
      dot.setAttribute('visibility', Number.isFinite(x) && Number.isFinite(y) ? 'visible' : 'hidden');
      const frame = dot.ownerSVGElement.querySelector('.frame');
      const [left, top, side] = ['x', 'y', 'width'].map(name => Number(frame.getAttribute(name)));
      if (Number.isFinite(x)) dot.setAttribute('cx', left + side * x);
      if (Number.isFinite(y)) dot.setAttribute('cy', top + side * (1 - y));
    }
  };
  slider.value = own;
  slider.hidden = hint.hidden = false;
  slider.addEventListener('input', show);
  back.addEventListener('click', () => { slider.value = own; show(); slider.focus(); });
  show();
}
addEventListener('beforeprint', () => {
  for (const part of document.querySelectorAll('details')) part.open = true;
});
