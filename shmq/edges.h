/* edges.h - the memory order of every atomic access, by the id of its edge.
 *
 * An edge is where one process's write becomes another's knowledge. Each id is
 * used by the access named in docs/memory-model.md and pairs with the ids given
 * here. Orders are seq_cst unless a model and an argument allow less. A build
 * may define an EDGE_ macro itself to weaken that one edge for a test. */
#ifndef SHMQI_EDGES_H
#define SHMQI_EDGES_H

#include <stdatomic.h>

/* One line, one edge. */
/* clang-format off */

/* -- N: no edge: statistics, constants guarded by another edge ------------ */
#ifndef EDGE_N1
#define EDGE_N1 memory_order_relaxed /* pairs with none: guarded or a figure */
#endif
#ifndef EDGE_N2
#define EDGE_N2 memory_order_relaxed /* pairs with none: guarded or a figure */
#endif
#ifndef EDGE_N3
#define EDGE_N3 memory_order_relaxed /* pairs with none: a counter */
#endif

/* -- P: publish (mpmc) ------------------------------------------------------ */
#ifndef EDGE_P1
#define EDGE_P1 memory_order_seq_cst /* pairs with P5: tail before version */
#endif
#ifndef EDGE_P2
#define EDGE_P2 memory_order_seq_cst /* pairs with J4: version after tail */
#endif
#ifndef EDGE_P3
#define EDGE_P3 memory_order_acquire /* pairs with P4: slot before its CAS */
#endif
#ifndef EDGE_P4
#define EDGE_P4 memory_order_seq_cst /* pairs with C1, T7: the publish */
#endif
#ifndef EDGE_P5
#define EDGE_P5 memory_order_seq_cst /* pairs with P1, G1: tail moves on */
#endif
#ifndef EDGE_P6
#define EDGE_P6 memory_order_seq_cst /* pairs with T7: sleepers after publish */
#endif

/* -- G: gate ------------------------------------------------------------------ */
#ifndef EDGE_G1
#define EDGE_G1 memory_order_seq_cst /* pairs with P5: tail before version */
#endif
#ifndef EDGE_G2
#define EDGE_G2 memory_order_seq_cst /* pairs with J4: version before floors */
#endif
#ifndef EDGE_G3
#define EDGE_G3 memory_order_seq_cst /* pairs with J2: who gates */
#endif
#ifndef EDGE_G4
#define EDGE_G4 memory_order_seq_cst /* pairs with J3, J10, S3: floors */
#endif
#ifndef EDGE_G5
#define EDGE_G5 memory_order_seq_cst /* pairs with G6: lower limit of joiners */
#endif
#ifndef EDGE_G6
#define EDGE_G6 memory_order_seq_cst /* pairs with G5: raised before relied on */
#endif
#ifndef EDGE_G7
#define EDGE_G7 memory_order_seq_cst /* pairs with J4: version unchanged */
#endif
#ifndef EDGE_G8
#define EDGE_G8 memory_order_seq_cst /* pairs with J7: spsc hint before version */
#endif

/* -- C: reading mpmc ------------------------------------------------------------ */
#ifndef EDGE_C1
#define EDGE_C1 memory_order_seq_cst /* pairs with P4, T7: frame after slot */
#endif
#ifndef EDGE_C2
#define EDGE_C2 memory_order_acquire /* pairs with A6: copy before its check */
#endif
#ifndef EDGE_C3
#define EDGE_C3 memory_order_relaxed /* pairs with P4: slot unchanged, after C2 */
#endif
#ifndef EDGE_C4
#define EDGE_C4 memory_order_relaxed /* pairs with A5: not given up, after C2 */
#endif
#ifndef EDGE_C5
#define EDGE_C5 memory_order_relaxed /* pairs with P4, W1: still empty, no more */
#endif

/* -- A: arenas and roles of producers -------------------------------------------- */
#ifndef EDGE_A1
#define EDGE_A1 memory_order_seq_cst /* pairs with A2: who owns */
#endif
#ifndef EDGE_A2
#define EDGE_A2 memory_order_seq_cst /* pairs with A1, A2: owner changes */
#endif
#ifndef EDGE_A3
#define EDGE_A3 memory_order_acquire /* pairs with A4, W4: role history, hint */
#endif
#ifndef EDGE_A4
#define EDGE_A4 memory_order_release /* pairs with A3: history entry is whole */
#endif
#ifndef EDGE_A5
#define EDGE_A5 memory_order_relaxed /* pairs with C4: given up, before A6 */
#endif
#ifndef EDGE_A6
#define EDGE_A6 memory_order_release /* pairs with C2: A5 before new bytes */
#endif

/* -- W: publish (spsc) ------------------------------------------------------------ */
#ifndef EDGE_W1
#define EDGE_W1 memory_order_release /* pairs with R1: the publish */
#endif
#ifndef EDGE_W2
#define EDGE_W2 memory_order_relaxed /* pairs with R4: given up, before W3 */
#endif
#ifndef EDGE_W3
#define EDGE_W3 memory_order_release /* pairs with R2: W2 before new bytes */
#endif
#ifndef EDGE_W4
#define EDGE_W4 memory_order_release /* pairs with J1, A3: hint */
#endif
#ifndef EDGE_W5
#define EDGE_W5 memory_order_relaxed /* pairs with R1: zero ahead, carried by W1 */
#endif
#ifndef EDGE_W6
#define EDGE_W6 memory_order_acquire /* pairs with J4: groups or topic changed */
#endif
#ifndef EDGE_W7
#define EDGE_W7 memory_order_relaxed /* pairs with R1: later of a batch, carried by W1 */
#endif

/* -- R: reading spsc -------------------------------------------------------------- */
#ifndef EDGE_R1
#define EDGE_R1 memory_order_acquire /* pairs with W1, W5: record after commit */
#endif
#ifndef EDGE_R2
#define EDGE_R2 memory_order_acquire /* pairs with W3: copy before its check */
#endif
#ifndef EDGE_R3
#define EDGE_R3 memory_order_relaxed /* pairs with W1: word unchanged, after R2 */
#endif
#ifndef EDGE_R4
#define EDGE_R4 memory_order_relaxed /* pairs with W2: not given up, after R2 */
#endif

/* -- J: groups: names, states, floors of joiners ------------------------------------ */
#ifndef EDGE_J1
#define EDGE_J1 memory_order_seq_cst /* pairs with J2, J12, W4: word after naming */
#endif
#ifndef EDGE_J2
#define EDGE_J2 memory_order_seq_cst /* pairs with J1, G3: state changes */
#endif
#ifndef EDGE_J3
#define EDGE_J3 memory_order_seq_cst /* pairs with G4: pin before version */
#endif
#ifndef EDGE_J4
#define EDGE_J4 memory_order_seq_cst /* pairs with P2, G2, G7, W6: version */
#endif
#ifndef EDGE_J5
#define EDGE_J5 memory_order_seq_cst /* pairs with J6: naming before looking */
#endif
#ifndef EDGE_J6
#define EDGE_J6 memory_order_seq_cst /* pairs with J5, E5: who names an entry */
#endif
#ifndef EDGE_J7
#define EDGE_J7 memory_order_seq_cst /* pairs with G8: version before spsc hint */
#endif
#ifndef EDGE_J8
#define EDGE_J8 memory_order_seq_cst /* pairs with J11: the group exists */
#endif
#ifndef EDGE_J9
#define EDGE_J9 memory_order_seq_cst /* pairs with J10, S3, V4: place of a group */
#endif
#ifndef EDGE_J10
#define EDGE_J10 memory_order_seq_cst /* pairs with G4, J9: exclusive floor */
#endif
#ifndef EDGE_J11
#define EDGE_J11 memory_order_seq_cst /* pairs with J8: what a name means */
#endif
#ifndef EDGE_J12
#define EDGE_J12 memory_order_seq_cst /* pairs with J1: a member joins */
#endif
#ifndef EDGE_J13
#define EDGE_J13 memory_order_seq_cst /* pairs with J14: name entered */
#endif
#ifndef EDGE_J14
#define EDGE_J14 memory_order_seq_cst /* pairs with J13: name read */
#endif

/* -- S: claims of shared groups ------------------------------------------------------ */
#ifndef EDGE_S1
#define EDGE_S1 memory_order_seq_cst /* pairs with S3: floor */
#endif
#ifndef EDGE_S2
#define EDGE_S2 memory_order_seq_cst /* pairs with S9, S10: claim word */
#endif
#ifndef EDGE_S3
#define EDGE_S3 memory_order_seq_cst /* pairs with S1, G4: floor moves on */
#endif
#ifndef EDGE_S4
#define EDGE_S4 memory_order_seq_cst /* pairs with S8: announced before freeing */
#endif
#ifndef EDGE_S5
#define EDGE_S5 memory_order_seq_cst /* pairs with S6: next and epoch */
#endif
#ifndef EDGE_S6
#define EDGE_S6 memory_order_seq_cst /* pairs with S5: pushed, or epoch bumped */
#endif
#ifndef EDGE_S7
#define EDGE_S7 memory_order_seq_cst /* pairs with S8: after the bump */
#endif
#ifndef EDGE_S8
#define EDGE_S8 memory_order_seq_cst /* pairs with S4, S7: before next */
#endif
#ifndef EDGE_S9
#define EDGE_S9 memory_order_seq_cst /* pairs with S2: claimed or freed */
#endif
#ifndef EDGE_S10
#define EDGE_S10 memory_order_seq_cst /* pairs with S2: acknowledged */
#endif
#ifndef EDGE_S11
#define EDGE_S11 memory_order_seq_cst /* pairs with S12: deadline after word */
#endif
#ifndef EDGE_S12
#define EDGE_S12 memory_order_seq_cst /* pairs with S11: deadline before claim */
#endif

/* -- V: views and the exclusive reader's role ------------------------------------------ */
#ifndef EDGE_V1
#define EDGE_V1 memory_order_seq_cst /* pairs with V5, V6: after taking the role */
#endif
#ifndef EDGE_V2
#define EDGE_V2 memory_order_seq_cst /* pairs with V3: whose role, after V5 */
#endif
#ifndef EDGE_V3
#define EDGE_V3 memory_order_seq_cst /* pairs with V2: role moves, before V1 */
#endif
#ifndef EDGE_V4
#define EDGE_V4 memory_order_release /* pairs with J9: handed out up to here */
#endif
#ifndef EDGE_V5
#define EDGE_V5 memory_order_seq_cst /* pairs with V1: looking from now on */
#endif
#ifndef EDGE_V6
#define EDGE_V6 memory_order_release /* pairs with V1: looked, all done */
#endif
#ifndef EDGE_V7
#define EDGE_V7 memory_order_seq_cst /* pairs with V8: evicted, before version */
#endif
#ifndef EDGE_V8
#define EDGE_V8 memory_order_seq_cst /* pairs with V7: after version changed */
#endif

/* -- E: endpoints ------------------------------------------------------------------------ */
#ifndef EDGE_E1
#define EDGE_E1 memory_order_seq_cst /* pairs with E2, E3: identity */
#endif
#ifndef EDGE_E2
#define EDGE_E2 memory_order_seq_cst /* pairs with E1: entry taken or freed */
#endif
#ifndef EDGE_E3
#define EDGE_E3 memory_order_seq_cst /* pairs with E1: fields are whole */
#endif
#ifndef EDGE_E4
#define EDGE_E4 memory_order_seq_cst /* pairs with E2: still the same owner */
#endif
#ifndef EDGE_E9
#define EDGE_E9 memory_order_release /* pairs with E8: E2 before the fields */
#endif
#ifndef EDGE_E8
#define EDGE_E8 memory_order_acquire /* pairs with E9: fields before E4 */
#endif
#ifndef EDGE_E5
#define EDGE_E5 memory_order_seq_cst /* pairs with J6: names nothing any more */
#endif
#ifndef EDGE_E6
#define EDGE_E6 memory_order_seq_cst /* pairs with E2: victim, after its word */
#endif
#ifndef EDGE_E7
#define EDGE_E7 memory_order_seq_cst /* pairs with V2, A1: role of the dead ends */
#endif

/* -- T: sleeping and waking ------------------------------------------------------------- */
#ifndef EDGE_T1
#define EDGE_T1 memory_order_seq_cst /* pairs with T7: sleepers after the floor */
#endif
#ifndef EDGE_T2
#define EDGE_T2 memory_order_seq_cst /* pairs with T9: futex word moves */
#endif
#ifndef EDGE_T3
#define EDGE_T3 memory_order_seq_cst /* pairs with T10: who sleeps */
#endif
#ifndef EDGE_T4
#define EDGE_T4 memory_order_seq_cst /* pairs with T11: who polls */
#endif
#ifndef EDGE_T5
#define EDGE_T5 memory_order_seq_cst /* pairs with T11: bell taken */
#endif
#ifndef EDGE_T6
#define EDGE_T6 memory_order_seq_cst /* pairs with T7: armed bits taken */
#endif
#ifndef EDGE_T7
#define EDGE_T7 memory_order_seq_cst /* pairs with P6, T1, T6: armed */
#endif
#ifndef EDGE_T8
#define EDGE_T8 memory_order_seq_cst /* pairs with P4, P6: armed before looking */
#endif
#ifndef EDGE_T9
#define EDGE_T9 memory_order_seq_cst /* pairs with T2: futex word before arming */
#endif
#ifndef EDGE_T10
#define EDGE_T10 memory_order_seq_cst /* pairs with T3: asleep before armed */
#endif
#ifndef EDGE_T11
#define EDGE_T11 memory_order_seq_cst /* pairs with T4, T5: polls, before armed */
#endif
#ifndef EDGE_T12
#define EDGE_T12 memory_order_relaxed /* pairs with none: asks again when in doubt */
#endif

/* -- M: watermarks of a durable topic --------------------------------------- */
#ifndef EDGE_M1
#define EDGE_M1 memory_order_release /* pairs with M2, M3: a mark rises */
#endif
#ifndef EDGE_M2
#define EDGE_M2 memory_order_acquire /* pairs with M1: memory below may go */
#endif
#ifndef EDGE_M3
#define EDGE_M3 memory_order_acquire /* pairs with M1: what the log holds */
#endif
#ifndef EDGE_M4
#define EDGE_M4 memory_order_release /* pairs with M5: woken after the rise */
#endif
#ifndef EDGE_M5
#define EDGE_M5 memory_order_acquire /* pairs with M4: word before the mark */
#endif
#ifndef EDGE_M6
#define EDGE_M6 memory_order_seq_cst /* pairs with M7: a commit is asked for */
#endif
#ifndef EDGE_M7
#define EDGE_M7 memory_order_seq_cst /* pairs with M6: asked, before places */
#endif
#ifndef EDGE_M8
#define EDGE_M8 memory_order_release /* pairs with M9: a place is on disk */
#endif
#ifndef EDGE_M9
#define EDGE_M9 memory_order_acquire /* pairs with M8: whose place it is */
#endif
#ifndef EDGE_M10
#define EDGE_M10 memory_order_release /* pairs with M11: dir being written */
#endif
#ifndef EDGE_M11
#define EDGE_M11 memory_order_acquire /* pairs with M10: dir is whole */
#endif
#ifndef EDGE_M12
#define EDGE_M12 memory_order_release /* pairs with M13: odd before the bytes */
#endif
#ifndef EDGE_M13
#define EDGE_M13 memory_order_acquire /* pairs with M12: bytes before the look */
#endif

/* clang-format on */

#endif
