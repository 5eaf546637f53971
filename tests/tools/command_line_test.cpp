// The executable from outside: help, usage errors, exit codes, one small run.
#include <gtest/gtest.h>
#include <sys/wait.h>

#include <algorithm>
#include <cstdlib>
#include <fstream>

#include "architecture/tensors.h"
#include "base/file.h"
#include "base/json.h"
#include "base/random.h"
#include "format/checkpoint.h"
#include "support/shared_data.h"

namespace {

namespace fs = std::filesystem;
using frugal::base::Json;
using frugal::test::TemporaryFolder;
using testing::HasSubstr;

struct Outcome {
  int code = -1;
  std::string out, err;
};

// Runs frugal with `arguments` (as a shell reads them) in `folder`.
Outcome run(const fs::path& folder, const std::string& arguments) {
  const char* executable = std::getenv("FRUGAL_EXECUTABLE");
  if (executable == nullptr || *executable == '\0') {
    ADD_FAILURE() << "FRUGAL_EXECUTABLE is not set";
    return {};
  }
  const std::string command = "cd '" + folder.string() + "' && '" + executable + "' " + arguments +
                              " >stdout.txt 2>stderr.txt </dev/null";
  const int status = std::system(command.c_str());
  return {WIFEXITED(status) ? WEXITSTATUS(status) : -1,
          frugal::base::read_file(folder / "stdout.txt").value_or(""),
          frugal::base::read_file(folder / "stderr.txt").value_or("")};
}

// A Llama of one layer with rows that every grid's blocks divide.
void write_model(const fs::path& folder) {
  namespace architecture = frugal::architecture;
  namespace format = frugal::format;
  fs::create_directories(folder);
  const architecture::ModelConfig config =
      architecture::parse_model_config(
          Json::parse(R"({"architectures": ["LlamaForCausalLM"], "model_type": "llama",
            "hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 1,
            "num_attention_heads": 2, "num_key_value_heads": 1, "vocab_size": 48,
            "max_position_embeddings": 64, "rms_norm_eps": 1e-05, "rope_theta": 10000.0,
            "hidden_act": "silu", "tie_word_embeddings": true, "bos_token_id": 1,
            "eos_token_id": 2})"),
          "test")
          .value();
  std::vector<format::CheckpointWriter::Tensor> tensors;
  for (const architecture::Tensor& expected : architecture::tensors(config)) {
    tensors.push_back({expected.name, format::DType::kF32, expected.shape, std::nullopt});
  }
  auto writer = format::CheckpointWriter::create(folder, config, tensors).value();
  for (const auto& tensor : tensors) {
    int64_t count = 1;
    for (const int64_t size : tensor.shape) count *= size;
    frugal::base::RandomStream random(3, tensor.name);
    std::vector<float> values(static_cast<size_t>(count));
    for (float& value : values) value = static_cast<float>(0.1 * random.normal());
    FRUGAL_ASSERT_OK(writer.write_values(tensor.name, values));
  }
  FRUGAL_ASSERT_OK(writer.finish());
}

class CommandLine : public testing::Test {
 protected:
  Outcome frugal(const std::string& arguments) { return run(folder_.path(), arguments); }
  void write(const std::string& name, const std::string& text) {
    std::ofstream(folder_.path() / name) << text;
  }
  // Of "a", "b" and "ab".
  void write_tokenizer(const std::string& model) {
    write(model + "/tokenizer.json", R"({"version": "1.0", "added_tokens": [], "normalizer": null,
        "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": false, "use_regex": true},
        "post_processor": null, "decoder": {"type": "ByteLevel"}, "model": {"type": "BPE",
        "vocab": {"a": 0, "b": 1, "ab": 2}, "merges": ["a b"]}})");
  }
  // `frugal arguments` where no file may grow beyond `blocks` of 512 bytes: it stands for a full
  // disk. What it said is in stderr.txt.
  int frugal_on_a_full_disk(const std::string& arguments, int blocks) {
    const std::string command = "cd '" + folder_.path().string() +
                                "' && (trap '' XFSZ; ulimit -f " + std::to_string(blocks) + "; '" +
                                std::getenv("FRUGAL_EXECUTABLE") + "' " + arguments +
                                ") >/dev/null 2>stderr.txt";
    return WEXITSTATUS(std::system(command.c_str()));
  }
  std::string said() { return frugal::base::read_file(folder_.path() / "stderr.txt").value(); }
  bool exists(const std::string& name) { return fs::exists(folder_.path() / name); }
  TemporaryFolder folder_;
};

TEST_F(CommandLine, HelpExplainsWithExamples) {
  const Outcome help = frugal("--help");
  EXPECT_EQ(help.code, 0);
  for (const char* text :
       {"run", "plan", "report", "inspect", "import", "generate", "passes", "doctor", "meter",
        "quantize", "frugal run pipelines/quickstart.yaml", "Exit codes"}) {
    EXPECT_THAT(help.out, HasSubstr(text));
  }
  const Outcome quantize = frugal("quantize --help");
  EXPECT_EQ(quantize.code, 0);
  for (const char* text : {"--grid", "--calibration", "--out", "--force", "--device", "MODEL",
                           "Default:", "Examples"}) {
    EXPECT_THAT(quantize.out, HasSubstr(text));
  }
  EXPECT_THAT(frugal("--version").out, testing::MatchesRegex("frugal [0-9.]+\n"));
}

TEST_F(CommandLine, EveryCommandHasHelp) {
  std::vector<std::string> commands = {"run",    "plan",     "report", "inspect",
                                       "import", "generate", "passes", "doctor",
                                       "meter",  "verify",   "compare"};
  const Json passes = Json::parse(frugal("passes --json").out);
  for (const Json& pass : passes) commands.push_back(pass["name"]);
  EXPECT_GE(commands.size(), 19u);
  for (const std::string& command : commands) {
    const Outcome help = frugal(command + " --help");
    EXPECT_EQ(help.code, 0) << command;
    EXPECT_EQ(help.err, "") << command;
    EXPECT_THAT(help.out, HasSubstr("--help")) << command;
  }
  // Every option of a pass stands in its help, spelled as it is typed.
  for (const Json& pass : passes) {
    const std::string help = frugal(pass["name"].get<std::string>() + " --help").out;
    for (const Json& option : pass["options"]) {
      std::string name = "--" + option["name"].get<std::string>();
      std::replace(name.begin(), name.end(), '_', '-');
      EXPECT_THAT(help, HasSubstr(name)) << pass["name"];
    }
  }
}

TEST_F(CommandLine, ErrorsOfEveryCommandHaveTheirExitCodeAndNameTheirCause) {
  write_model(folder_.path() / "model");
  write("p.yaml",
        "frugal: 1\nname: p\nmodels: {model: model}\n"
        "steps: [{id: small, pass: quantize, with: {grid: q8_0, method: rtn}}]\n");
  write("broken.gguf", "GGUF, but not really");
  write("site.yaml", "name: nowhere\n");
  std::filesystem::create_directories(folder_.path() / "empty");
  struct Case {
    const char* arguments;
    int code;
    const char* text;
  };
  for (const Case& c : std::initializer_list<Case>{
           {"run p.yaml --set grid", 2, "--set grid: expected NAME=VALUE"},
           {"run p.yaml --set =x", 2, "expected NAME=VALUE"},
           {"run p.yaml --until smal", 2, "there is no step 'smal'; did you mean 'small'?"},
           {"run p.yaml --device gpu", 2, "unknown device 'gpu'; expected auto, cpu, cuda"},
           {"plan p.yaml --device cuda:x", 2, "unknown device 'cuda:x'"},
           {"run p.yaml --hardware absent.yaml", 2, "absent.yaml"},
           {"run p.yaml --idle-seconds -1", 2, "--idle-seconds"},
           {"run p.yaml --out p.yaml", 2, "p.yaml': Not a directory"},
           {"run empty", 2, "it is a folder"},
           {"report absent", 2, "absent"},
           {"report empty", 2, "journal.jsonl"},
           {"verify empty", 2, "journal.jsonl"},
           {"compare empty", 2, "journal.jsonl"},
           {"compare", 2, "RUN"},
           {"inspect broken.gguf", 1, "broken.gguf"},
           {"inspect empty", 1, "empty"},
           {"import absent.gguf -o x", 2, "absent.gguf"},
           {"import p.yaml -o x", 2, "frugal imports these: gguf is"},
           {"import p.yaml", 2, "--out"},
           {"generate absent --prompt x", 2, "absent"},
           {"generate empty --prompt x", 2, "no config.json"},
           {"generate empty", 2, "--prompt"},
           {"generate empty --prompt x --top-p 2", 2, "--top-p"},
           {"import empty -o x", 2, "no config.json"},
           {"passes absent --json", 2, "there is no pass 'absent'"},
           {"meter --site absent.yaml -- true", 2, "absent.yaml"},
           {"meter --site site.yaml -- true", 2, "site.yaml"},
           {"meter --json empty -- true", 1, "it is a folder"},
           {"quantize absent --grid q8_0", 2, "absent"},
           {"quantize broken.gguf --grid q8_0", 2, "broken.gguf"},
           {"quantize model --grid", 2, "--grid"},
           {"evaluate model --out numbers", 2, "there is no option '--out'"},
           {"evaluate model --task helaswag", 2,
            "'helaswag' is no file, and no task of that name comes with frugal; did you mean "
            "'hellaswag'?"}}) {
    const Outcome outcome = frugal(c.arguments);
    EXPECT_EQ(outcome.code, c.code) << c.arguments << "\n" << outcome.out << outcome.err;
    EXPECT_THAT(outcome.err, HasSubstr(c.text)) << c.arguments;
  }
  EXPECT_EQ(frugal("inspect empty").out, "");
}

TEST_F(CommandLine, ForceReplacesOwnFoldersAlone) {
  write_model(folder_.path() / "model");
  std::filesystem::create_directories(folder_.path() / "thesis");
  write("thesis/chapter.tex", "mine");
  const std::string command = "quantize model --grid q8_0 --method rtn --idle-seconds 0 --force";
  const Outcome foreign = frugal(command + " --out thesis");
  EXPECT_EQ(foreign.code, 2);
  EXPECT_THAT(foreign.err,
              testing::ContainsRegex("--force does not replace the folder '[^']*/thesis': it was "
                                     "not published by frugal"));
  EXPECT_FALSE(exists("runs"));  // refused before anything ran
  EXPECT_TRUE(exists("thesis/chapter.tex"));
  EXPECT_EQ(frugal(command + " --out small").code, 0);
  EXPECT_EQ(frugal(command + " --out small").code, 0);
  write("small/notes.txt", "mine");
  const Outcome touched = frugal(command + " --out small");
  EXPECT_EQ(touched.code, 2);
  EXPECT_THAT(touched.err, HasSubstr("frugal did not write its 'notes.txt'"));
}

TEST_F(CommandLine, ThePlanKnowsWhatTheRunLeftInTheCache) {
  write_model(folder_.path() / "model");
  write("p.yaml",
        "frugal: 1\nname: p\nmodels: {model: model}\n"
        "steps:\n  - {id: small, pass: quantize, with: {grid: q8_0, method: rtn}}\n");
  const auto unit = [&] {
    return Json::parse(frugal("plan p.yaml --json --device cpu").out)["units"][0];
  };
  EXPECT_EQ(unit()["cached"], false);
  EXPECT_EQ(frugal("run p.yaml --idle-seconds 0 --quiet --device cpu").code, 0);
  EXPECT_EQ(unit()["cached"], true);
  EXPECT_EQ(frugal("report runs/p").code, 0);
  EXPECT_TRUE(exists("runs/p/report.html"));
}

TEST_F(CommandLine, ARunIsVerifiedExportedAndCompared) {
  write_model(folder_.path() / "model");
  write("p.yaml",
        "frugal: 1\nname: p\nmodels: {model: model}\n"
        "steps:\n  - {id: small, pass: quantize, with: {grid: q8_0, method: rtn}}\n");
  ASSERT_EQ(frugal("run p.yaml --idle-seconds 0 --quiet --device cpu").code, 0);
  const Outcome exported = frugal("report runs/p --exports");
  EXPECT_EQ(exported.code, 0);
  EXPECT_TRUE(exists("runs/p/esrs-e1.csv"));
  const Outcome sound = frugal("verify runs/p");
  EXPECT_EQ(sound.code, 0) << sound.out;
  EXPECT_THAT(sound.out, HasSubstr("\nverified\n"));
  const Outcome sums = {std::system(("cd '" + (folder_.path() / "runs" / "p").string() +
                                     "' && sha256sum --quiet -c SHA256SUMS")
                                        .c_str()),
                        "", ""};
  EXPECT_EQ(sums.code, 0);
  const Outcome compared = frugal("compare runs/p --out together");
  EXPECT_EQ(compared.code, 0) << compared.err;
  EXPECT_THAT(compared.out, HasSubstr("parameters"));
  for (const char* name : {"compare.html", "compare.json", "compare.csv"})
    EXPECT_TRUE(exists(std::string("together/") + name)) << name;
  std::ofstream(folder_.path() / "runs" / "p" / "checkpoints" / "small" / "config.json",
                std::ios::app)
      << " ";
  const Outcome changed = frugal("verify runs/p");
  EXPECT_EQ(changed.code, 1);
  EXPECT_THAT(changed.out, HasSubstr("WRONG: small: "));
}

TEST_F(CommandLine, UsageErrorsNameTheNearestWord) {
  const auto expect_usage = [&](const std::string& arguments, const std::string& text) {
    const Outcome outcome = frugal(arguments);
    EXPECT_EQ(outcome.code, 2) << arguments << "\n" << outcome.err;
    EXPECT_THAT(outcome.err, HasSubstr(text)) << arguments;
    EXPECT_EQ(outcome.out, "") << arguments;
  };
  expect_usage("quantise x", "there is no command 'quantise'; did you mean 'quantize'?");
  expect_usage("passes quantise", "there is no pass 'quantise'; did you mean 'quantize'?");
  expect_usage("quantize m --gird q4_k", "there is no option '--gird'; did you mean '--grid'?");
  expect_usage("quantize", "MODEL is required");
  expect_usage("run", "PIPELINE is required");
  expect_usage("run absent.yaml", "absent.yaml");
  expect_usage("plan absent.yaml extra", "unexpected 'extra'");
  expect_usage("inspect absent", "absent");
  expect_usage("meter", "no command");
  EXPECT_EQ(frugal("").code, 2);
}

TEST_F(CommandLine, APipelineWithMistakesReportsThemAllAndWritesNothing) {
  write("bad.yaml",
        "frugal: 1\nname: bad\nsteps:\n  - {id: a, pas: train}\n  - {id: b, pass: quantise}\n"
        "seed: 010\nseed: 2\n");
  for (const char* command : {"plan bad.yaml", "run bad.yaml"}) {
    const Outcome outcome = frugal(command);
    EXPECT_EQ(outcome.code, 2);
    for (const char* text : {"bad.yaml:4:13: a step has no key 'pas'; did you mean 'pass'?",
                             "bad.yaml:5:19: there is no pass 'quantise'; did you mean 'quantize'?",
                             "bad.yaml:6:7: ", "bad.yaml:7:1: the key 'seed' stands twice"}) {
      EXPECT_THAT(outcome.err, HasSubstr(text));
    }
    EXPECT_FALSE(exists("runs/bad"));
  }
}

TEST_F(CommandLine, PassesAreDocumentedAsTextAndJson) {
  const Outcome list = frugal("passes");
  EXPECT_EQ(list.code, 0);
  for (const char* name : {"train", "distill", "finetune", "prune", "rotate", "smooth", "quantize",
                           "tune", "evaluate", "measure", "export"}) {
    EXPECT_THAT(list.out, HasSubstr(name));
  }
  EXPECT_THAT(frugal("passes quantize").out, testing::AllOf(HasSubstr("grid"), HasSubstr("q4_k")));
  const Json described = Json::parse(frugal("passes --json").out);
  EXPECT_GE(described.size(), 8u);
  EXPECT_FALSE(described[0]["options"].empty());
}

TEST_F(CommandLine, OnePassIsOneCommand) {
  write_model(folder_.path() / "model");
  const Outcome misspelt = frugal("quantize model --grid q8_O --method rtn --out small");
  EXPECT_EQ(misspelt.code, 2);
  EXPECT_THAT(misspelt.err, HasSubstr("q8_0"));
  EXPECT_FALSE(exists("small"));

  const Outcome plan = frugal("quantize model --grid q8_0 --method rtn --plan");
  EXPECT_EQ(plan.code, 0) << plan.err;
  EXPECT_THAT(plan.out, HasSubstr("quantize"));

  const std::string command =
      "quantize model --grid q8_0 --method rtn --idle-seconds 0 --out small";
  const Outcome first = frugal(command);
  EXPECT_EQ(first.code, 0) << first.err;
  EXPECT_THAT(first.out, HasSubstr("[1/1] quantize"));
  FRUGAL_ASSERT_OK_AND_ASSIGN(const auto made,
                              frugal::format::Checkpoint::open(folder_.path() / "small"));
  EXPECT_FALSE(made.quantized().empty());

  // A list may be given at once or one by one.
  const std::string measured = "measure model --plan --json --prompt-tokens 8 --generated-tokens 4";
  const Outcome at_once = frugal(measured + " --batch 1,2");
  EXPECT_EQ(at_once.code, 0) << at_once.err;
  EXPECT_EQ(frugal(measured + " --batch 1 --batch 2").out, at_once.out);

  const Outcome again = frugal(command);
  EXPECT_EQ(again.code, 2);
  EXPECT_THAT(again.err, HasSubstr("'small' exists; give --force"));
  const Outcome forced = frugal(command + " --force");
  EXPECT_EQ(forced.code, 0) << forced.err;
  EXPECT_THAT(forced.out, HasSubstr("cached"));

  const Outcome inspected = frugal("inspect small --json");
  EXPECT_EQ(inspected.code, 0);
  EXPECT_EQ(Json::parse(inspected.out)["kind"], "checkpoint");
  const Outcome shown = frugal("inspect small");
  EXPECT_EQ(shown.code, 0);
  EXPECT_THAT(shown.out, testing::AllOf(HasSubstr("LlamaForCausalLM"), HasSubstr("q8_0"),
                                        HasSubstr("model.layers.0.mlp.down_proj.weight")));
  const Outcome same = frugal("inspect small small --json");
  EXPECT_EQ(same.code, 0) << same.err;
  const Json numbers = Json::parse(same.out)["numbers"];
  EXPECT_EQ(numbers["equal"], numbers["tensors"].size());
  const Outcome differs = frugal("inspect model small");
  EXPECT_EQ(differs.code, 0) << differs.err;
  EXPECT_THAT(differs.out,
              testing::AllOf(HasSubstr("model.layers.0.mlp.down_proj.weight"),
                             HasSubstr("tensors hold the same numbers"), HasSubstr("%")));
  EXPECT_EQ(frugal("inspect small absent").code, 2);
}

TEST_F(CommandLine, AModelAnswers) {
  write_model(folder_.path() / "model");
  write_tokenizer("model");
  const std::string options = " --max-tokens 6 ";
  const Outcome raw = frugal("generate model --raw --prompt abab" + options);
  EXPECT_EQ(raw.code, 0) << raw.err;
  EXPECT_THAT(raw.err, HasSubstr("2 tokens in, "));
  EXPECT_EQ(frugal("generate model --prompt abab" + options).out, raw.out);  // no template
  const Outcome quiet = frugal("generate model --raw --prompt abab -q" + options);
  EXPECT_EQ(quiet.out, raw.out);
  EXPECT_EQ(quiet.err, "");
  const Outcome sampled = frugal("generate model --raw --prompt abab --temperature 9" + options);
  EXPECT_EQ(frugal("generate model --raw --prompt abab --temperature 9 --seed 1" + options).out,
            sampled.out);
  EXPECT_EQ(frugal("generate model --raw --prompt abab").code, 0);  // of a context of 64 tokens
  std::string text;
  for (int i = 0; i < 64; ++i) text += "ab";
  const Outcome full = frugal("generate model --raw --prompt " + text);
  EXPECT_EQ(full.code, 2);
  EXPECT_THAT(full.err, HasSubstr("the prompt has 64 tokens, but the model's context holds 64"));
  const Outcome system = frugal("generate model --prompt ab --system ba" + options);
  EXPECT_EQ(system.code, 2);
  EXPECT_THAT(system.err, HasSubstr("the model has no chat template"));

  // Through the template: "ab" said twice is what "abab" was.
  write("model/chat_template.jinja",
        "{% if messages | length > 2 %}{{ raise_exception('too many') }}{% endif %}"
        "{% for message in messages %}{{ message.content }}{{ message.content }}{% endfor %}");
  EXPECT_EQ(frugal("generate model --prompt ab" + options).out, raw.out);
  EXPECT_EQ(frugal("generate model --prompt abab --raw" + options).out, raw.out);
  write("model/chat_template.jinja", "{{ raise_exception('no users here') }}");
  const Outcome refused = frugal("generate model --prompt ab" + options);
  EXPECT_NE(refused.code, 0);
  EXPECT_THAT(refused.err, HasSubstr("no users here"));
}

// A question and its answer as the template writes them: the same tokens as without it where it
// writes nothing else, more where it does.
TEST_F(CommandLine, DataGoThroughTheChatTemplate) {
  write_model(folder_.path() / "model");
  write_tokenizer("model");
  write("turns.jsonl", R"({"messages": [{"role": "user", "content": "abab"}, )"
                       R"({"role": "assistant", "content": "abaab"}]})");
  const std::string evaluate =
      "evaluate model --perplexity turns.jsonl --protocol documents-32 --idle-seconds 0";
  const Outcome bare = frugal(evaluate);
  EXPECT_EQ(bare.code, 2);
  EXPECT_THAT(bare.err, HasSubstr("chat: true (--data-chat)"));
  const Outcome none = frugal(evaluate + " --data-chat");
  EXPECT_EQ(none.code, 2);
  EXPECT_THAT(none.err, HasSubstr("the model's chat template, and it has none"));
  write("model/chat_template.jinja",
        "{% for message in messages %}{{ message.content }}{% endfor %}");
  const Outcome plain = frugal(evaluate + " --data-chat");
  EXPECT_EQ(plain.code, 0) << plain.err;
  write("fields.jsonl", R"({"prompt": "abab", "completion": "abaab"})"
                        "\n");
  const auto perplexity = [](const Outcome& outcome) {
    const size_t at = outcome.out.find("perplexity");
    return at == std::string::npos ? "none: " + outcome.out
                                   : outcome.out.substr(at, outcome.out.find('\n', at) - at);
  };
  const Outcome fields =
      frugal("evaluate model --perplexity fields.jsonl --protocol documents-32 --idle-seconds 0");
  EXPECT_EQ(perplexity(plain), perplexity(fields));
  const Outcome system = frugal(evaluate + " --data-chat --data-system ba");
  EXPECT_EQ(system.code, 0) << system.err;
  EXPECT_NE(perplexity(system), perplexity(plain));
}

TEST_F(CommandLine, OneResultBecomesSeveralArtifacts) {
  write_model(folder_.path() / "model");
  write_tokenizer("model");
  ASSERT_EQ(frugal("quantize model --grid int4 --method rtn --embeddings keep --head keep "
                   "--idle-seconds 0 --out q")
                .code,
            0);
  const Outcome many =
      frugal("export q --format gguf,compressed_tensors --format gptq --idle-seconds 0 --out many");
  ASSERT_EQ(many.code, 0) << many.err;
  EXPECT_TRUE(exists("many/many.gguf"));
  EXPECT_TRUE(exists("many/many-gptq/quantize_config.json"));
  // A packed folder is a model that any command takes: the codes are those of the other file.
  const Outcome again = frugal(
      "export many/many-compressed-tensors --format gguf --name many --no-verify --idle-seconds 0 "
      "--out again.gguf");
  ASSERT_EQ(again.code, 0) << again.err;
  EXPECT_EQ(frugal::base::read_file(folder_.path() / "again.gguf").value(),
            frugal::base::read_file(folder_.path() / "many/many.gguf").value());

  write("f.yaml",
        "frugal: 1\nname: f\nmodels: {model: q}\n"
        "steps: [{id: files, pass: export, with: {format: [gguf, compressed_tensors]}}]\n");
  EXPECT_EQ(frugal("plan f.yaml").code, 0);
  const Outcome version = frugal("export q --format gguf,onnx --gptq-version 2 --plan");
  EXPECT_EQ(version.code, 2);
  EXPECT_THAT(version.err, HasSubstr("gptq_version is for format gptq; leave it out for gguf"));
  const Outcome plain = frugal("export model --format gguf,compressed_tensors --plan");
  EXPECT_EQ(plain.code, 2);
  EXPECT_THAT(plain.err, HasSubstr("nothing to pack"));

  // A file-size limit stands for the full disk.
  const std::string limited =
      "cd '" + folder_.path().string() + "' && (trap '' XFSZ; ulimit -f 16; '" +
      std::getenv("FRUGAL_EXECUTABLE") +
      "' export q --format compressed_tensors --idle-seconds 0 --out full) >/dev/null 2>&1";
  EXPECT_EQ(WEXITSTATUS(std::system(limited.c_str())), 1);
  EXPECT_FALSE(exists("full"));
}

TEST_F(CommandLine, AGgufFileComesBackAsAFolder) {
  write_model(folder_.path() / "model");
  write_tokenizer("model");
  const Outcome made =
      frugal("quantize model --grid q4_0 --method rtn --idle-seconds 0 --out small.gguf");
  ASSERT_EQ(made.code, 0) << made.err;
  const Outcome imported = frugal("import small.gguf -o sub/small");
  EXPECT_EQ(imported.code, 0) << imported.err;
  EXPECT_THAT(imported.out, testing::AllOf(HasSubstr("LlamaForCausalLM, 1 layers"),
                                           HasSubstr("q4_0"), HasSubstr("wrote sub/small")));
  FRUGAL_ASSERT_OK_AND_ASSIGN(const auto checkpoint,
                              frugal::format::Checkpoint::open(folder_.path() / "sub/small"));
  EXPECT_FALSE(checkpoint.quantized().empty());
  EXPECT_EQ(frugal("measure sub/small --plan --prompt-tokens 8 --generated-tokens 4").code, 0);

  // Any command takes the file itself; what it became is kept by its content.
  const Outcome direct = frugal("measure small.gguf --plan --prompt-tokens 8 --generated-tokens 4");
  EXPECT_EQ(direct.code, 0) << direct.err;
  write("g.yaml",
        "frugal: 1\nname: g\nmodels: {model: small.gguf}\n"
        "steps: [{id: plain, pass: export, with: {format: huggingface}}]\n");
  const Outcome ran = frugal("run g.yaml --idle-seconds 0");
  EXPECT_EQ(ran.code, 0) << ran.err;
  EXPECT_TRUE(exists("runs/g/artifacts"));
  EXPECT_THAT(frugal::base::read_file(folder_.path() / "runs/g/pipeline.resolved.yaml").value(),
              HasSubstr("small.gguf"));
  EXPECT_EQ(frugal("run g.yaml --idle-seconds 0").code, 0);
  EXPECT_EQ(std::distance(fs::directory_iterator(folder_.path() / "runs/.cache/shared"), {}), 1);

  const Outcome again = frugal("import small.gguf -o sub/small");
  EXPECT_EQ(again.code, 2);
  EXPECT_THAT(again.err, HasSubstr("'sub/small' exists; give --force"));
  const Outcome forced = frugal("import small.gguf -o sub/small --force --quiet");
  EXPECT_EQ(forced.code, 0) << forced.err;
  EXPECT_EQ(forced.out, "");

  EXPECT_EQ(frugal_on_a_full_disk("import small.gguf -o sub/full", 16), 1);
  EXPECT_THAT(said(), HasSubstr("cannot write"));

  fs::resize_file(folder_.path() / "small.gguf", fs::file_size(folder_.path() / "small.gguf") - 64);
  const Outcome cut = frugal("import small.gguf -o sub/cut");
  EXPECT_EQ(cut.code, 1);
  EXPECT_THAT(cut.err, HasSubstr("truncated"));
  EXPECT_EQ(std::distance(fs::directory_iterator(folder_.path() / "sub"), {}), 1);  // no trace
}

// A folder that another tool has packed stands wherever a model may.
TEST_F(CommandLine, APackedFolderIsAModel) {
  const char* sources = std::getenv("FRUGAL_SOURCE_DIR");
  ASSERT_NE(sources, nullptr);
  const fs::path golden = fs::path(sources) / "tests" / "golden" / "packed";
  for (const auto& [method, grid] :
       {std::pair{"gptq-v1", "int4:g16"}, std::pair{"awq", "int4:g16:asym"},
        std::pair{"ct-w8-channel", "int8:row"}}) {
    SCOPED_TRACE(method);
    const std::string model = method;
    fs::copy(golden / method, folder_.path() / model);
    write_tokenizer(model);
    const Outcome shown = frugal("inspect " + model);
    EXPECT_EQ(shown.code, 0) << shown.err;
    EXPECT_THAT(shown.out, testing::AllOf(HasSubstr("packed"), HasSubstr("-bit integers, "),
                                          HasSubstr("model.layers.0.self_attn.q_proj.weight"),
                                          HasSubstr(grid)));
    EXPECT_EQ(Json::parse(frugal("inspect --json " + model).out)["kind"], "packed");

    const Outcome imported = frugal("import " + model + " -o sub/" + model);
    EXPECT_EQ(imported.code, 0) << imported.err;
    EXPECT_THAT(imported.out, testing::AllOf(HasSubstr(grid), HasSubstr("wrote sub/" + model)));
    const std::string prompt = " --raw --prompt abab --max-tokens 6 -q";
    const Outcome direct = frugal("generate " + model + prompt);
    EXPECT_EQ(direct.code, 0) << direct.err;
    EXPECT_EQ(frugal("generate sub/" + model + prompt).out, direct.out);

    write("text.txt", "abababbaabab");
    const std::string measured = " --perplexity text.txt --protocol documents-32 --idle-seconds 0";
    const Outcome evaluated = frugal("evaluate " + model + measured);
    EXPECT_EQ(evaluated.code, 0) << evaluated.err;
    EXPECT_THAT(evaluated.out, HasSubstr("perplexity"));

    write("p.yaml", "frugal: 1\nname: p\nmodels: {model: " + model +
                        "}\nsteps: [{id: plain, pass: export, with: {format: huggingface}}]\n");
    const Outcome planned = frugal("plan p.yaml");
    EXPECT_EQ(planned.code, 0) << planned.err;
    EXPECT_THAT(planned.out, HasSubstr("plain"));
  }
  EXPECT_EQ(frugal_on_a_full_disk("import gptq-v1 -o sub/full", 4), 1);
  EXPECT_THAT(said(), HasSubstr("cannot write"));
  EXPECT_EQ(std::distance(fs::directory_iterator(folder_.path() / "sub"), {}), 3);  // no trace
}

TEST_F(CommandLine, TheModelWritesTheTextThatNobodyGave) {
  write_model(folder_.path() / "model");
  write_tokenizer("model");
  const std::string few =
      "quantize model --grid q8_0 --windows 2 --sequence-length 16 --held-out-windows 1";
  const Outcome made = frugal(few + " --out sub/small");
  EXPECT_EQ(made.code, 0) << made.err;
  const fs::path resolved = folder_.path() / "runs/quantize-small/pipeline.resolved.yaml";
  EXPECT_THAT(frugal::base::read_file(resolved).value(), HasSubstr("calibration: self"));
  const Outcome named = frugal(few + " --calibration self --out sub/named");
  EXPECT_EQ(named.code, 0) << named.err;
  for (const auto& entry : fs::directory_iterator(folder_.path() / "sub/small")) {
    const fs::path other = folder_.path() / "sub/named" / entry.path().filename();
    EXPECT_EQ(frugal::base::read_file(entry.path()).value(),
              frugal::base::read_file(other).value());
  }
}

// A task's name that is mistyped is no file, either.
TEST_F(CommandLine, AFolderOfDocumentsGoesWithATask) {
  write_model(folder_.path() / "model");
  write_tokenizer("model");
  write("plain.txt", "abab");
  const Outcome done = frugal("evaluate model --task plain.txt --data-folder . --plan");
  EXPECT_EQ(done.code, 2);
  EXPECT_THAT(done.err, testing::AllOf(HasSubstr("--data-folder: none of the data is a task file"),
                                       HasSubstr("gsm8k, hellaswag, ")));
}

TEST_F(CommandLine, JsonModePrintsTheJournal) {
  write_model(folder_.path() / "model");
  write("p.yaml",
        "frugal: 1\nname: p\nvars: {grid: q8_0}\nmodels: {model: model}\n"
        "steps: [{id: small, pass: quantize, with: {grid: \"${grid}\", method: rtn}}]\n");
  const Outcome outcome = frugal("run p.yaml --json --idle-seconds 0 --set grid=int4");
  EXPECT_EQ(outcome.code, 0) << outcome.err;
  std::vector<std::string> kinds;
  for (std::string line; const char c : outcome.out) {
    if (c != '\n') {
      line += c;
    } else {
      kinds.push_back(Json::parse(line)["event"]);
      line.clear();
    }
  }
  EXPECT_THAT(kinds, testing::ElementsAre("run_start", "step_start", "step_end", "run_end"));
  EXPECT_TRUE(exists("runs/p/checkpoints/small/config.json"));
  EXPECT_THAT(frugal("run p.yaml --set gird=int4").err, HasSubstr("did you mean 'grid'?"));
}

TEST_F(CommandLine, AFullDiskIsOneClearMessage) {
  write_model(folder_.path() / "model");
  EXPECT_EQ(frugal_on_a_full_disk(
                "quantize model --grid q8_0 --method rtn --idle-seconds 0 --out small", 16),
            1);
  EXPECT_THAT(said(), HasSubstr("cannot write"));
  EXPECT_FALSE(exists("small"));
}

TEST_F(CommandLine, MeterPassesTheExitCodeOn) {
  const Outcome seven = frugal("meter -- sh -c 'echo out; exit 7'");
  EXPECT_EQ(seven.code, 7);
  EXPECT_EQ(seven.out, "out\n");
  EXPECT_THAT(seven.err,
              testing::AllOf(HasSubstr("frugal meter: "), HasSubstr(" J"), HasSubstr("gCO2e")));
  EXPECT_EQ(frugal("meter -- ./absent").code, 127);
  EXPECT_EQ(frugal("meter -- sh -c 'kill -9 $$'").code, 137);
  EXPECT_EQ(frugal("meter --json w.json -- true").code, 0);
  FRUGAL_ASSERT_OK_AND_ASSIGN(const Json window,
                              frugal::base::read_json(folder_.path() / "w.json"));
  EXPECT_TRUE(window.contains("meters"));
}

TEST_F(CommandLine, TheCpuLevelOfTheEnvironmentIsChecked) {
  ::setenv("FRUGAL_CPU_LEVEL", "avx22", 1);
  const Outcome refused = frugal("passes");
  EXPECT_EQ(refused.code, 2);
  EXPECT_THAT(refused.err, HasSubstr("FRUGAL_CPU_LEVEL: unknown CPU level 'avx22'; did you mean"));
  ::setenv("FRUGAL_CPU_LEVEL", "plain", 1);
  EXPECT_THAT(frugal("doctor").out, HasSubstr("loops of frugal for plain"));
  ::unsetenv("FRUGAL_CPU_LEVEL");
}

TEST_F(CommandLine, DoctorLooksAround) {
  const Outcome doctor = frugal("doctor");
  EXPECT_EQ(doctor.code, 0);
  EXPECT_THAT(doctor.out,
              testing::AllOf(HasSubstr("LibTorch"), HasSubstr("meters"), HasSubstr("cpu")));
}

}  // namespace
