// Which names mean nothing at the beginning of a scope although the conversation may have a value
// for them. Jinja decides by the text whose variable a name is: one that a scope assigns before it
// reads it, and that no scope around it mentions, is its own from the start, and undefined until it
// is assigned - for a loop or a macro within the scope that reads it earlier.
#pragma once

#include "chat/syntax.h"

namespace frugal::chat {

// Fills `hidden` of the program and of its statements.
void find_hidden(Program& program);

}  // namespace frugal::chat
