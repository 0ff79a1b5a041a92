// The shared worker: one stream for all tabs of a browser.
import { Feed } from './feed.js';

const ports = new Set();
const feed = new Feed({ lang: self.name.split(' ')[1], open: (url) => new EventSource(url), tell: (m) => ports.forEach((p) => p.postMessage(m)) });

self.onconnect = ({ ports: [port] }) => {
  ports.add(port);
  port.onmessage = ({ data }) => {
    switch (data.type) {
      case 'hello':
        for (const m of feed.hello(data.seq)) port.postMessage(m);
        port.postMessage({ type: 'state', up: feed.up, first: true });
        return;
      case 'wake':
        feed.wake(data.again);
        return;
      case 'left':
        ports.delete(port);
        port.close();
        if (ports.size === 0) feed.close();
    }
  };
  port.postMessage({ type: 'ready' });
};
