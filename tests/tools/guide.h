// What the pieces of code in docs/cpp.md take for granted.
#include <underthread/underthread.h>

#include <chrono>
#include <csignal>
#include <cstddef>
#include <cstdio>
#include <exception>

#include <unistd.h>

using namespace underthread;
using namespace std::chrono_literals;

struct Stop {};
Lock lock;
int fd;
char bytes[8];
int answer;

void work(int);
void count_something();
void serve();
void write_log();
void write();
void change();
int ask();
void say_goodbye();
