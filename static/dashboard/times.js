// <time data-age> says how long ago it was, <time data-elapsed> how long it has lasted; the absolute time is its title.
// Without JavaScript the absolute time stays.

function spoken(seconds) {
  if (seconds < 60) return `${Math.floor(seconds)} s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min`;
  if (seconds < 86400) return `${Math.floor(seconds / 3600)} h`;
  return `${Math.floor(seconds / 86400)} d`;
}

export function showTimes() {
  for (const time of document.querySelectorAll("time[data-age], time[data-elapsed]")) {
    // Clocks differ a little: nothing is shown from the future.
    const seconds = Math.max(0, (Date.now() - Date.parse(time.dateTime)) / 1000);
    const text = "elapsed" in time.dataset ? spoken(seconds) : seconds < 2 ? "now" : `${spoken(seconds)} ago`;
    if (time.textContent !== text) time.textContent = text;
  }
}

document.addEventListener("htmx:after:swap", showTimes);
