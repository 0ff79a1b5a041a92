// How a tab gets the live stream: from a shared worker, from the tab that leads,
// or, where browsers have neither, by itself.
import { Feed } from './feed.js';
import { Election } from './elect.js';

const workerPatience = 3000; // ms until a worker that says nothing is given up

// A Stream hands this tab what comes in. Seq() tells up to where it shows
// everything; take(message) gets {type: 'event'|'state', …}.
export class Stream {
  constructor({ name, seq, take }) {
    Object.assign(this, { name, seq, take });
    this.way = null; // {wake, leave}
  }

  start() {
    if (typeof SharedWorker === 'function') this.byWorker();
    else this.byTabs();
  }

  // restart serves a page that comes back out of the browser's cache.
  restart() {
    this.stop();
    this.start();
  }

  stop() {
    this.way?.leave();
    this.way = null;
  }

  wake(again) {
    this.way?.wake(again);
  }

  byWorker() {
    let worker;
    try {
      worker = new SharedWorker(new URL('./shared.js', import.meta.url), { type: 'module', name: this.name });
    } catch {
      this.byTabs();
      return;
    }
    const { port } = worker;
    const way = { wake: (again) => port.postMessage({ type: 'wake', again }), leave: () => port.postMessage({ type: 'left' }) };
    this.way = way;
    const giveUp = () => {
      if (this.way !== way) return;
      way.leave();
      this.byTabs();
    };
    const timer = setTimeout(giveUp, workerPatience);
    worker.onerror = () => {
      clearTimeout(timer);
      giveUp();
    };
    port.onmessage = ({ data }) => {
      if (this.way !== way) return;
      if (data.type === 'ready') {
        clearTimeout(timer);
        port.postMessage({ type: 'hello', seq: this.seq() });
        return;
      }
      this.take(data);
    };
  }

  byTabs() {
    if (typeof BroadcastChannel !== 'function') {
      this.alone();
      return;
    }
    const channel = new BroadcastChannel(this.name);
    const id = [...crypto.getRandomValues(new Uint8Array(8))].map((b) => b.toString(16).padStart(2, '0')).join('');
    let feed = null;
    const hello = () => channel.postMessage({ type: 'hello', id, seq: this.seq() });
    const election = new Election({
      id,
      post: (m) => channel.postMessage(m),
      lead: () => {
        feed = this.newFeed((m) => {
          channel.postMessage(m);
          this.take(m);
        });
        feed.hello(this.seq());
      },
      follow: () => {
        feed?.close();
        feed = null;
      },
    });
    let leader = null;
    channel.onmessage = ({ data }) => {
      switch (data.type) {
        case 'hello':
          if (!feed) return;
          for (const m of feed.hello(data.seq)) channel.postMessage({ ...m, to: data.id });
          channel.postMessage({ type: 'state', up: feed.up, first: true, to: data.id });
          return;
        case 'wake':
          feed?.wake(data.again);
          return;
        case 'event':
        case 'state':
          if (!feed && (data.to === undefined || data.to === id)) this.take(data);
          return;
      }
      election.hear(data);
      // A new leader begins where it was itself; tell it where this tab is.
      if (!election.leading && election.leader && election.leader !== leader) hello();
      leader = election.leading ? id : election.leader;
    };
    this.way = {
      wake: (again) => (feed ? feed.wake(again) : channel.postMessage({ type: 'wake', again })),
      leave: () => {
        election.stop();
        feed?.close();
        channel.close();
      },
    };
    election.start();
  }

  alone() {
    const feed = this.newFeed(this.take);
    this.way = { wake: (again) => feed.wake(again), leave: () => feed.close() };
    feed.hello(this.seq());
  }

  newFeed(tell) {
    return new Feed({ lang: this.name.split(' ')[1], open: (url) => new EventSource(url), tell });
  }
}
