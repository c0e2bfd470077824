#include <doctest/doctest.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <thread>
#include <vector>

#include "error.h"
#include "temporary.h"
#include "trace.h"

using edgebench::Json;
using edgebench::Trace;

namespace {

std::vector<Json> rows_in(const std::string& path) {
    std::vector<Json> rows;
    std::istringstream lines(Temporary::read(path));
    for (std::string line; std::getline(lines, line);) rows.push_back(Json::parse(line));
    return rows;
}

}  // namespace

TEST_CASE("rows are stamped unless they bring their time, and output rows never are") {
    const Temporary folder;
    const auto path = (folder.root / "trace.jsonl").string();
    Trace trace(path);
    trace.row("load", {{"artifact", 0}});
    trace.row("load", {{"t_ns", 7}});
    trace.row("output", {{"name", "y"}});
    const auto rows = rows_in(path);
    CHECK(rows.at(0).at("t_ns").get<int64_t>() > 7);
    CHECK(rows.at(1).at("t_ns") == 7);
    CHECK_FALSE(rows.at(2).contains("t_ns"));
    CHECK(trace.rows() == 3);
}

TEST_CASE("nothing follows an end or an error row") {
    for (const char* last : {"end", "error"}) {
        const Temporary folder;
        const auto path = (folder.root / "trace.jsonl").string();
        Trace trace(path);
        trace.row(last, Json::object());
        trace.row("load", Json::object());
        trace.error("late", "nobody reads this");
        CHECK(rows_in(path).size() == 1);
    }
}

TEST_CASE("rows of two threads never mix") {
    const Temporary folder;
    const auto path = (folder.root / "trace.jsonl").string();
    Trace trace(path);
    const auto many = [&](const char* name) {
        for (int i = 0; i < 500; ++i) trace.row("load", {{"text", std::string(300, name[0])}});
    };
    std::thread other(many, "b");
    many("a");
    other.join();
    CHECK(rows_in(path).size() == 1000);
}

TEST_CASE("text that is not UTF-8 loses its bytes, never the row") {
    const Temporary folder;
    const auto path = (folder.root / "trace.jsonl").string();
    Trace trace(path);
    trace.error("load_failed", "\xff\xfe name");
    CHECK(rows_in(path).at(0).at("code") == "load_failed");
}

TEST_CASE("a row that does not fit on the disk is taken back whole, and said") {
    const Temporary folder;
    const auto path = (folder.root / "trace.jsonl").string();
    const pid_t child = fork();
    if (child == 0) {
        signal(SIGXFSZ, SIG_IGN);
        const rlimit small{400, 400};
        setrlimit(RLIMIT_FSIZE, &small);
        Trace trace(path);
        trace.row("load", {{"artifact", 0}});
        bool thrown = false;
        try {
            trace.row("load", {{"text", std::string(1000, 'x')}});
        } catch (const std::runtime_error& problem) {
            thrown = std::string(problem.what()).find("cannot write the trace: File too large") != std::string::npos;
        }
        trace.error("internal", "the disk is full");
        _exit(thrown ? 0 : 1);
    }
    int status = 0;
    waitpid(child, &status, 0);
    CHECK(status == 0);
    const auto rows = rows_in(path);
    CHECK(rows.size() == 2);
    CHECK(rows.at(1).at("code") == "internal");
}

TEST_CASE("a full disk has a code of its own, and standard error says it last where the error row does not fit either") {
    const Temporary folder;
    const auto said = (folder.root / "said").string();
    const pid_t child = fork();
    if (child == 0) {
        if (freopen(said.c_str(), "w", stderr) == nullptr) _exit(2);
        Trace trace("/dev/full");
        bool told = false;
        try {
            trace.row("load", {{"artifact", 0}});
        } catch (const edgebench::AgentError& problem) {
            told = problem.code == "disk_full" && std::string(problem.what()) == "cannot write the trace: No space left on device";
        }
        Trace ended("/dev/null");
        ended.row("end", Json::object());
        ended.error("internal", "what came after the end");
        trace.error("run_failed", "what happened");
        _exit(told ? 0 : 1);
    }
    int status = 0;
    waitpid(child, &status, 0);
    CHECK(status == 0);
    const std::string text = Temporary::read(said);
    for (const char* line : {"what came after the end\n", "what happened\n"}) CHECK(text.find(line) != std::string::npos);
    const std::string last = "cannot write the error row: cannot write the trace: No space left on device\n";
    REQUIRE(text.size() > last.size());
    CHECK(text.substr(text.size() - last.size()) == last);
}

TEST_CASE("only a disk without room is called full") {
    for (const int reason : {ENOSPC, EDQUOT}) CHECK(edgebench::unwritten("run_failed", "f", reason).code == "disk_full");
    for (const int reason : {EIO, EROFS, EFBIG}) CHECK(edgebench::unwritten("run_failed", "f", reason).code == "run_failed");
    CHECK(std::string(edgebench::unwritten("run_failed", "f", ENOSPC).what()) == "f: No space left on device");
}

TEST_CASE("a trace that cannot be opened says why") {
    CHECK_THROWS_WITH(Trace("/nowhere/trace.jsonl"), "/nowhere/trace.jsonl: No such file or directory");
}
