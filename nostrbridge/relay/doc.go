// Package relay is the Nostr relay that a node is for the phones nearby: the
// front between websockets and the node. It needs no internet.
//
// It speaks NIP-01 with deletion (09), its information document (11), private
// messages (17, 59: a wrap goes to its authenticated recipient alone), expiry
// (40), authentication (42), counts (45), search (50), protected events (70) and
// reconciliation (77):
//
//	client → relay   ["EVENT", event]  ["REQ", id, filter…]  ["COUNT", id, filter…]
//	                 ["CLOSE", id]     ["AUTH", event]
//	                 ["NEG-OPEN", id, filter, hex]  ["NEG-MSG", id, hex]  ["NEG-CLOSE", id]
//	relay → client   ["EVENT", id, event]  ["EOSE", id]  ["CLOSED", id, why]
//	                 ["OK", event id, taken, why]  ["COUNT", id, {"count": n}]
//	                 ["AUTH", challenge]  ["NOTICE", text]
//	                 ["NEG-MSG", id, hex]  ["NEG-ERR", id, why]
//
// OK with true says that the event is on this machine's disk.
//
// One goroutine reads each connection and answers its messages in their order;
// another writes while there is something to write. One more follows what comes
// in for all subscriptions together, and one waits for the disk for all
// publishers together. What a client does not read waits in a bounded queue;
// when that is full the connection is closed, and nobody else has waited.
package relay
