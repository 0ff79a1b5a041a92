// All tests of the page's scripts in one process, as 'go test' runs them. For
// one of them: node --test web/jstest/queue.test.mjs
import './crypto.mjs';
import './event.test.mjs';
import './gift.test.mjs';
import './mailbox.test.mjs';
import './nip44.test.mjs';
import './queue.test.mjs';
import './stream.test.mjs';
