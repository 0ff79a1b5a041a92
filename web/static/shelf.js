// A few named stores of objects with a key "id" in the browser's database
// (IndexedDB), which private messages stay in.

export class Shelf {
  constructor(name, stores) {
    this.name = name;
    this.stores = stores;
    this.db = null;
  }

  open() {
    this.db ??= new Promise((resolve, reject) => {
      const r = indexedDB.open(this.name, 1);
      r.onupgradeneeded = () => this.stores.forEach((s) => r.result.createObjectStore(s, { keyPath: 'id' }));
      r.onsuccess = () => resolve(r.result);
      r.onerror = () => reject(r.error);
      r.onblocked = () => reject(new Error('the database is in use'));
    });
    return this.db;
  }

  async all(store) {
    const db = await this.open();
    return new Promise((resolve, reject) => {
      const r = db.transaction(store).objectStore(store).getAll();
      r.onsuccess = () => resolve(r.result);
      r.onerror = () => reject(r.error);
    });
  }

  // change puts and deletes in several stores at once, or not at all:
  // change({messages: [m], outbox: [w]}, {outbox: [id]}).
  async change(puts, deletes = {}) {
    const db = await this.open();
    const names = [...new Set([...Object.keys(puts), ...Object.keys(deletes)])];
    return new Promise((resolve, reject) => {
      const t = db.transaction(names, 'readwrite');
      for (const [s, list] of Object.entries(puts)) for (const v of list) t.objectStore(s).put(v);
      for (const [s, list] of Object.entries(deletes)) for (const id of list) t.objectStore(s).delete(id);
      t.oncomplete = () => resolve();
      t.onerror = t.onabort = () => reject(t.error ?? new Error('the database refused'));
    });
  }

  async destroy() {
    (await this.open()).close();
    this.db = null;
    await new Promise((resolve) => {
      const r = indexedDB.deleteDatabase(this.name);
      r.onsuccess = r.onerror = r.onblocked = resolve;
    });
  }
}

// A Memory is a shelf for browsers that keep nothing: it ends with the page.
export class Memory {
  async all() {
    return [];
  }

  async change() {}

  async destroy() {}
}
