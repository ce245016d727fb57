"""A module that lies beside a script and belongs to no package. It goes along too."""

_SEASONS = ("winter", "spring", "summer", "autumn")


def season(month):
    return _SEASONS[month % 12 // 3]
