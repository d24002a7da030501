"""How each genus of the drawn specimens looks: a body plan with its outlines, colours and markings.

Genera differ in lightness, outline and markings besides hue, because training shifts hues.
"""

import functools

from tfvision.data.specimen_bodies import DARK, beetle, butterfly, fish, spider

_NYMPHALID = functools.partial(
    butterfly,
    fore=[(5, -32), (44, -68), (86, -80), (104, -66), (96, -48), (98, -30), (84, -20), (78, -6), (48, 2), (6, 2)],
    hind=[(6, -8), (56, -12), (84, 8), (82, 26), (88, 40), (74, 50), (70, 66), (52, 66), (40, 76), (24, 62), (8, 32)],
)
_PAPILIONID = functools.partial(
    butterfly,
    fore=[(5, -28), (48, -74), (100, -104), (116, -98), (104, -62), (84, -24), (56, -2), (6, 4)],
)
_LADYBIRD = functools.partial(beetle, thorax=(-54, 46, 24, 0.9), head=(-78, 22, 14, 0.9), jaw_length=0)
_STAG_BEETLE = functools.partial(beetle, leg_reach=98, mark_at=[])
_ORB_WEAVER = functools.partial(spider, front=(-46, 32, 28, 0.9), leg_reach=92, eye_radius=4)
_JUMPING_SPIDER = functools.partial(spider, leg_reach=62)
_PUFFER = functools.partial(
    fish,
    dorsal=[(-44, -44), (-38, -66), (-62, -74), (-70, -44)],
    anal=[(-44, 46), (-44, 68), (-66, 66), (-68, 38)],
    tail=[(-72, 0), (-96, -24), (-118, -26), (-114, 0), (-118, 26), (-96, 22)],
)

GENERA = {  # genus -> a function of a numpy Generator that returns the parts of one individual
    "Vanessa": functools.partial(
        _NYMPHALID, main=(192, 112, 64), trim=(60, 46, 42), mark=(232, 226, 214), border=0.2,
        mark_at=[(88, -62, 7), (76, -70, 5), (90, -46, 4)],
    ),
    "Aglais": functools.partial(
        _NYMPHALID, main=(142, 70, 82), trim=(186, 154, 104), mark=(74, 92, 168), border=0.1,
        mark_at=[(82, -62, 14), (62, 30, 13)],
    ),
    "Papilio": functools.partial(
        _PAPILIONID, main=(192, 182, 92), trim=(48, 44, 48), mark=(176, 70, 58), border=0.2,
        hind=[(6, -4), (58, -6), (80, 12), (78, 34), (66, 50), (70, 88), (60, 92), (50, 62), (34, 66), (8, 40)],
        mark_at=[(34, 58, 6)],
    ),
    "Parnassius": functools.partial(
        _PAPILIONID, main=(188, 190, 186), trim=(122, 124, 126), mark=(196, 62, 54), border=0.08,
        hind=[(6, -4), (58, -6), (82, 12), (80, 42), (64, 64), (38, 66), (8, 40)],
        mark_at=[(68, 26, 9), (44, 50, 8)],
    ),
    "Coccinella": functools.partial(
        _LADYBIRD, main=(186, 66, 60), trim=(52, 44, 46), mark=(46, 40, 42), leg_reach=104, elytra=(16, 74, 76, 0.95),
        mark_at=[(30, -24, 9), (50, 18, 9), (24, 52, 9)],
    ),
    "Adalia": functools.partial(
        _LADYBIRD, main=(192, 142, 72), trim=(84, 62, 44), mark=(64, 46, 38), leg_reach=96, elytra=(18, 64, 80, 0.95),
        mark_at=[(34, 10, 14)],
    ),
    "Lucanus": functools.partial(
        _STAG_BEETLE, main=(128, 76, 64), trim=(76, 42, 38), mark=DARK, jaw_length=46,
        elytra=(34, 50, 64, 0.75), thorax=(-40, 52, 22, 0.6), head=(-70, 40, 15, 0.6),
    ),
    "Dorcus": functools.partial(
        _STAG_BEETLE, main=(86, 96, 108), trim=(44, 48, 56), mark=DARK, jaw_length=24,
        elytra=(32, 56, 66, 0.6), thorax=(-46, 60, 24, 0.5), head=(-76, 34, 13, 0.6),
    ),
    "Araneus": functools.partial(
        _ORB_WEAVER, main=(172, 118, 80), trim=(128, 84, 58), mark=(72, 50, 42), leg_width=10,
        abdomen=(34, 60, 56, 0.9),
    ),
    "Argiope": functools.partial(
        _ORB_WEAVER, main=(194, 184, 112), trim=(64, 56, 52), mark=(206, 178, 92), leg_width=8,
        abdomen=(38, 47, 66, 0.8),
    ),
    "Phidippus": functools.partial(
        _JUMPING_SPIDER, main=(88, 92, 98), trim=(56, 56, 62), mark=(72, 158, 132), leg_width=17, eye_radius=10,
        front=(-40, 52, 40, 0.65), abdomen=(52, 48, 54, 0.95),
    ),
    "Salticus": functools.partial(
        _JUMPING_SPIDER, main=(178, 172, 156), trim=(104, 96, 86), mark=(214, 208, 190), leg_width=13, eye_radius=8,
        front=(-46, 46, 36, 0.55), abdomen=(48, 44, 62, 0.95),
    ),
    "Arothron": functools.partial(
        _PUFFER, main=(136, 148, 104), trim=(184, 166, 92), mark=(206, 196, 168), eye=(56, -22, 11), mark_at=[],
        body=[
            (90, -2), (72, -34), (36, -56), (-8, -60), (-46, -42),
            (-78, -12), (-78, 12), (-48, 50), (-6, 66), (42, 56), (74, 28),
        ],
    ),
    "Canthigaster": functools.partial(
        _PUFFER, main=(92, 148, 156), trim=(206, 138, 88), mark=(196, 120, 92), eye=(50, -22, 13), mark_at=[],
        body=[
            (104, 4), (78, -16), (44, -50), (2, -58), (-42, -46),
            (-80, -14), (-80, 10), (-48, 42), (-4, 56), (42, 46), (80, 20),
        ],
    ),
    "Balistes": functools.partial(
        fish, main=(98, 112, 164), trim=(64, 74, 122), mark=(204, 178, 108), eye=(48, -34, 8),
        body=[
            (104, 8), (70, -30), (26, -62), (-12, -64), (-52, -34),
            (-82, -10), (-82, 10), (-54, 38), (-10, 70), (34, 58), (78, 30),
        ],
        dorsal=[(2, -58), (-16, -104), (-34, -84), (-66, -72), (-70, -18)],
        anal=[(0, 62), (-20, 106), (-36, 88), (-66, 76), (-70, 20)],
        tail=[(-76, 0), (-92, -20), (-124, -52), (-106, 0), (-124, 52), (-92, 20)],
        mark_at=[[(96, 16), (72, 20), (44, 30), (46, 36), (74, 28), (94, 22)]],
    ),
    "Rhinecanthus": functools.partial(
        fish, main=(192, 168, 124), trim=(196, 186, 160), mark=(70, 62, 92), eye=(38, -34, 9),
        body=[
            (110, 14), (72, -22), (28, -56), (-10, -58), (-52, -32),
            (-86, -8), (-86, 10), (-54, 36), (-12, 60), (34, 56), (80, 34),
        ],
        dorsal=[(-8, -54), (-24, -74), (-52, -66), (-78, -40), (-72, -16)],
        anal=[(-10, 56), (-26, 78), (-54, 70), (-78, 44), (-72, 18)],
        tail=[(-80, 0), (-96, -20), (-118, -28), (-116, 0), (-118, 28), (-96, 20)],
        mark_at=[[(40, -26), (34, -26), (18, 20), (14, 44), (22, 44), (28, 20)]],
    ),
}  # fmt: skip
