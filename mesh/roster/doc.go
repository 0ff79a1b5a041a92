// Package roster decides who belongs to a community. It is pure: events go in,
// in any order; the same set of events gives the same answers everywhere.
//
// A decision is an event of kind 3739 in the topic "registry". Each has the
// tags
//
//	["op", VERB]       found, admit, promote, demote, remove, ban or rotate; another
//	                   word of a-z and - is of a later version, without effect here
//	["c", TAG]         the community's tag, 16 hexadecimal digits
//	["e", ID] …        the heads its author saw: 1 to 32, none for found
//
// and by its verb
//
//	found    ["name", N] ["nonce", 64 hex] ["machine", N] ["record", R] ["bind", B]
//	admit    ["p", AUTHOR] and ["name", N]; for a machine also ["record", R] ["bind", B]
//	promote  ["p", AUTHOR]
//	demote   ["p", AUTHOR]
//	remove   ["p", AUTHOR] or ["node", KEY] or both; the content may hold a reason
//	ban      the same
//	rotate   ["epoch", NUMBER] ["secret", 32 hex] ["overlap", HOURS]; the content
//	         is the secret, sealed for each machine: see wrap.go
//
// R is a peer record in base64url without padding, B a binding in 128 digits:
// together they prove that one machine holds both keys and names this
// community. Other tags mean nothing.
//
// # What counts
//
// The events form a graph by the heads they name. An event's past is all it
// reaches. Whoever signs may act if he is the founder, or if a promotion of
// his, itself counting, is in the event's past and no revocation is that came
// after it or beside it. A revocation is a demote, remove or ban that counts.
// An event beside a revocation of its author does not count: a stolen machine
// cannot write itself a past. Revocations are judged one after the other, each
// when those in its past are, the author nearest to the founder first (a
// promotion is one step), then the lowest id: of two admins who ban each other
// without knowing it, one stands.
//
// A key belongs if an admission of it counts that has seen every ban and
// removal of it that counts: a ban beats an admission beside it, and an
// admission that saw the ban lifts it. A ban of a node falls on the authors
// bound to it, and the other way round. Who was banned, let in again and then
// removed is a stranger, not banned. The founder cannot be revoked.
//
// An event whose author was never promoted in its past is refused for good,
// and so never becomes anyone's past. An event that does not count stays in
// the graph: news of another island may change that.
//
// # Rotations
//
// A rotation announces a new secret in one event or several. Its epoch is one
// more than the highest in its past, or that of the same secret in its past, the
// lowest where there are two; another number is refused for good. The founding's secret has epoch 1. In
// force is, of the rotations that count, one that no other has seen; of several
// that one which the fewest machines may know that belong no more, then the
// one with the highest epoch, the signer nearest to the founder, the lowest
// name. A machine may know a secret if a slot names it or the rotation is in
// the past of an admission of it, unless its end is in the rotation's past.
//
// # Passes
//
// A guest's pass is an event of kind 3740, outside the graph, with the tags
// "c" as above and
//
//	["op", "pass"] ["p", GUEST] ["until", UNIX] ["rate", EVENTS AN HOUR]
//	["op", "pass"] and so on, ["from", "world"]
//	["op", "revoke"] ["e", PASS]
//	["op", "ask"] ["p", AUTHOR] ["name", N] ["record", R] ["bind", B] ["until", UNIX]
//
// A pass counts while its issuer is a machine, admin or the founder, until its
// time, unless its issuer or an admin has revoked it. Only the newest passes
// of one issuer are kept. An "ask" says that a machine came to the issuer's
// door and wants to belong; it lets nobody do anything. "from" says that the guest speaks
// through public relays: what he says stays off the air, and is not carried back.
package roster
