// Of the session layer: nearly every file of it includes this header, which costs seconds.
#ifndef PGWEIR_PCH_SESSION
#define PGWEIR_PCH_SESSION

#include "pch.hpp"
#include "pgweir/session/session.hpp"

#endif
