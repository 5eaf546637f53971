// What a model's own config says of it to people: for the model card of an artifact.
#pragma once

#include "architecture/model_config.h"
#include "base/json.h"

namespace frugal::passes {

// {base_model, loaded_from, license, license_name, license_link, languages, tags}: texts and lists
// of texts, each only where the model says it. A base model is the id of a repository ("org/name"),
// that which its file calls its own or, where there is none, its base; what it was loaded from may
// be a path.
base::Json card_facts(const architecture::ModelConfig& config);

}  // namespace frugal::passes
