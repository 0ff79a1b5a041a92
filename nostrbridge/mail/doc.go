// Package mail sends and receives this node's private messages.
//
// A message is a rumor (mesh.Rumor): its id names it, whichever way and however
// often it comes. It travels in two forms:
//
//	wrap    NIP-17, 44, 59: for each recipient a rumor inside a seal (kind 13)
//	        inside a gift wrap (kind 1059), and one copy for its author. Over
//	        gossip, sync and public relays; 1.5 kB and more.
//	letter  kind 3742, ours: between two machines whose keys know each other, for
//	        the air. Its author signs it, nobody but its reader can tell for whom
//	        it is; about 100 bytes more than its compressed text.
//
// The reader's node answers with a receipt, a rumor of kind 3743 that goes back
// the same two ways, and tells those who hold mail which wraps it has (kind
// 3744), so that no relay gets them any more. A letter is written only when no
// receipt came soon.
//
// Wraps for others are kept, sealed, until they come for them: see box.go.
package mail
