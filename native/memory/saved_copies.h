// A mode in which autograd keeps copies of the tensors that it saves for the backward pass. `explain` runs a network in
// this mode if the network overwrites saved tensors in place, which makes an ordinary backward pass fail.
#pragma once

namespace batch_cam {

// Switches the mode on or off for the calling thread; returns whether it was on before. The first call replaces
// libtorch's default autograd engine.
bool setSavedCopies(bool enabled);

}  // namespace batch_cam
