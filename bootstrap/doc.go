// Package bootstrap brings machines into a community: it makes and redeems
// invites.
//
// An invite (mesh.Invite) holds a token of 16 random bytes. It is redeemed by
// a POST to /J/ at the inviter's web port, and by nothing else. What is sent:
//
//	version  byte       1
//	node     [32]byte   whom the joiner means: the inviter's Ed25519 key
//	id       [16]byte   SHA-256("drey/1/invite-id" ‖ 0 ‖ token)[:16]
//	message             the first of Noise_IKpsk0_25519_ChaChaPoly_SHA256
//
// The prologue is "drey/1/join" and the 49 bytes before the message. Static
// keys are both nodes' Ed25519 keys in their X25519 form (RFC 7748: the secret
// is the clamped first half of the seed's SHA-512), so the exchange is bound
// to them; the pre-shared key is SHA-256("drey/1/invite-psk" ‖ 0 ‖ token). The
// message's payload:
//
//	verb     byte       0 peek, 1 join
//	token    [16]byte   proves more than a stolen shelf could
//	name     byte and so many bytes, the joiner's; from here on only to join
//	binding  [64]byte   Identity.Bind's
//	record              the joiner's peer record, for the inviter's community
//
// The answer, with status 200, is the handshake's second message, whose
// payload is the length of what follows as a big-endian uint32, then frames of
// a big-endian uint16 length and a Noise transport message each. To peek
// answers a preview (JSON), to join a welcome:
//
//	membership  uvarint length and bytes, see mesh.Membership
//	record      uvarint length and bytes, the inviter's
//	events      until the end, each uvarint length and binary form; parents first
//
// Other answers are one word in plain text: "unknown", "other-node", "used",
// "expired", "burnt", "bad-seal", "bad-request", "banned", "refused", "busy".
// Nobody signs such a word; it can only say no.
//
// A machine without an invite may ask to belong. It learns the node key with a
// request of version, 32 and 16 zero bytes and no message; the answer, with
// status 200, is the key. It then sends requests whose id is zero, with the
// pre-shared key SHA-256("drey/1/ask-psk" ‖ 0 ‖ 16 zero bytes) and a token of
// zeros: verb 0 for a preview, or 2, with the payload of 1, to ask. That is
// answered "waiting" (status 202) until an admin says yes, then with a welcome.
// Whoever stands between can pose as the node that is asked; he learns a signed
// record that is no secret, and can invite to a community of his own: people
// compare the keys that both machines show.
//
// To redeem again with the same node key gives the same answer, however often
// and whatever became of the invite since: a crash on either side costs
// nothing. Only a machine that was admitted and then removed is told "used": it
// needs another invite. Any other request whose path holds a token, as a phone's camera
// makes it, has carried the token in clear and so burns the invite.
package bootstrap
