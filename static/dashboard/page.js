// What every page does by itself: it keeps its fragments live, its times relative, and copies what it is told to.
import { showTimes } from "./times.js";
import { startLive } from "./live.js";
import "./copy.js";

showTimes();
setInterval(showTimes, 1000);
startLive();
