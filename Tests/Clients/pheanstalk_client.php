<?php
// SPDX-License-Identifier: MIT
/**
 * Exercises every call of Pheanstalk against a server.
 *
 *     pheanstalk_client.php HOST PORT
 *     pheanstalk_client.php SOCKET-PATH
 *
 * The last line is `N passed, N failed`; the exit status is 0 only if nothing failed.
 */

declare(strict_types=1);

require_once 'Pheanstalk/autoload.php';

use Pheanstalk\Connection;
use Pheanstalk\Contract\PheanstalkInterface;
use Pheanstalk\Exception;
use Pheanstalk\Job;
use Pheanstalk\JobId;
use Pheanstalk\Pheanstalk;
use Pheanstalk\SocketFactory;

error_reporting(E_ALL & ~E_DEPRECATED);
set_error_handler(function (int $level, string $message, string $file, int $line): bool {
    if (error_reporting() & $level) {
        throw new ErrorException($message, 0, $level, $file, $line);
    }
    return false;
});

$network = $argc === 3;

/** Pheanstalk has no Unix sockets of its own, but fsockopen takes their path in the place of a host. */
function connectWith(int $implementation): Pheanstalk
{
    global $argv, $network;
    return Pheanstalk::createWithFactory($network
        ? new SocketFactory($argv[1], (int) $argv[2], 10, $implementation)
        : new SocketFactory('unix://' . $argv[1], -1, 10, SocketFactory::FSOCKOPEN));
}

function connect(string $tube): Pheanstalk
{
    global $network;
    return connectWith($network ? SocketFactory::AUTODETECT : SocketFactory::FSOCKOPEN)->useTube($tube)->watchOnly($tube);
}

function same($got, $wanted): void
{
    if ($got !== $wanted) {
        throw new Error(var_export($got, true) . ' instead of ' . var_export($wanted, true));
    }
}

function throwing(string $class, callable $call): void
{
    try {
        $result = $call();
    } catch (Exception $caught) {
        same(get_class($caught), $class);
        return;
    }
    throw new Error("$class wasn't thrown; the answer was " . var_export($result, true));
}

function waitUntil(callable $condition): void
{
    $deadline = microtime(true) + 20;
    while (!$condition()) {
        if (microtime(true) > $deadline) {
            throw new Error('waited in vain');
        }
        usleep(10000);
    }
}

$checks = [
    'a job is put, reserved and deleted' => function (string $tube): void {
        $client = connect($tube);
        $put = $client->put("hello \u{2603}");
        $job = $client->reserve();
        same([$job->getId(), $job->getData()], [$put->getId(), "hello \u{2603}"]);
        $client->delete($job);
        throwing(Exception\JobNotFoundException::class, fn () => $client->delete($job));
        throwing(Exception\JobNotFoundException::class, fn () => $client->peek($job));
    },
    'bodies may be any bytes' => function (string $tube): void {
        $client = connect($tube);
        // A body that is "0" or empty is left out: Pheanstalk takes it for nothing left to write.
        foreach (["\r\n", implode('', array_map('chr', range(0, 255))), str_repeat('x', 65535)] as $body) {
            $client->put($body);
            $job = $client->reserveWithTimeout(0);
            same($job->getData(), $body);
            $client->delete($job);
        }
    },
    'every kind of socket works' => function (string $tube): void {
        foreach ([SocketFactory::STREAM, SocketFactory::SOCKET, SocketFactory::FSOCKOPEN] as $implementation) {
            $client = connectWith($implementation)->useTube($tube)->watchOnly($tube);
            $client->put('x');
            $client->delete($client->reserve());
        }
    },
    'put takes priority, delay and time to run' => function (string $tube): void {
        $client = connect($tube);
        $stats = $client->statsJob($client->put('x', 7, 1000, 55));
        same([$stats['pri'], $stats['delay'], $stats['ttr'], $stats['state']], ['7', '1000', '55', 'delayed']);
    },
    'jobs come by priority' => function (string $tube): void {
        $client = connect($tube);
        foreach ([5, 4294967295, 0] as $priority) {
            $client->put((string) $priority, $priority);
        }
        same(array_map(fn () => $client->reserve()->getData(), [1, 2, 3]), ['0', '5', '4294967295']);
    },
    'a too big job is refused and the client goes on' => function (string $tube): void {
        $client = connect($tube);
        throwing(Exception\JobTooBigException::class, fn () => $client->put(str_repeat('x', 65536)));
        $client->delete($client->put('x'));
    },
    'bad arguments are refused' => function (string $tube): void {
        $client = connect($tube);
        throwing(Exception\ServerBadFormatException::class, fn () => $client->useTube('a b'));
        throwing(Exception\ServerBadFormatException::class, fn () => $client->watch('-a'));
    },
    'reserve times out' => function (string $tube): void {
        $client = connect($tube);
        same($client->reserveWithTimeout(0), null);
        $start = microtime(true);
        same($client->reserveWithTimeout(1), null);
        same(microtime(true) - $start > 0.9, true);
    },
    'a deadline is told' => function (string $tube): void {
        $client = connect($tube);
        $client->put('x', 0, 0, 1);
        $job = $client->reserve();
        throwing(Exception\DeadlineSoonException::class, fn () => $client->reserveWithTimeout(20));
        waitUntil(fn () => $client->statsJob($job)['timeouts'] === '1');
    },
    'release gives a job back' => function (string $tube): void {
        $client = connect($tube);
        $job = $client->put('x');
        $client->release($client->reserve(), 3);
        same($client->statsJob($job)['pri'], '3');
        $client->release($client->reserve(), 3, 1000);
        same($client->statsJob($job)['state'], 'delayed');
        throwing(Exception\JobNotFoundException::class, fn () => $client->release($job));
    },
    'bury and kick' => function (string $tube): void {
        $client = connect($tube);
        $jobs = array_map(fn () => $client->put('x'), range(1, 3));
        foreach ($jobs as $job) {
            $client->bury($client->reserve(), 9);
        }
        same($client->peekBuried()->getId(), $jobs[0]->getId());
        same($client->kick(2), 2);
        same($client->statsJob($jobs[2])['state'], 'buried');
        $client->kickJob($jobs[2]);
        same($client->statsJob($jobs[2])['state'], 'ready');
        throwing(Exception\JobNotFoundException::class, fn () => $client->kickJob($jobs[2]));
        same($client->kick(10), 0);
        throwing(Exception\JobNotFoundException::class, fn () => $client->bury($jobs[0]));
    },
    'touch renews a reservation' => function (string $tube): void {
        $client = connect($tube);
        $client->put('x', 0, 0, 100);
        $job = $client->reserve();
        usleep(1200000);
        same((int) $client->statsJob($job)['time-left'] <= 98, true);
        $client->touch($job);
        same((int) $client->statsJob($job)['time-left'] >= 98, true);
        $client->delete($job);
        throwing(Exception\JobNotFoundException::class, fn () => $client->touch($job));
    },
    'the used tube is known' => function (string $tube): void {
        $client = connectWith(SocketFactory::FSOCKOPEN);
        same($client->listTubeUsed(true), 'default');
        $client->useTube($tube);
        same($client->listTubeUsed(true), $tube);
        same($client->listTubeUsed(), $tube);
        same($client->withUsedTube("$tube-2", fn ($client) => $client->listTubeUsed(true)), "$tube-2");
        same($client->listTubeUsed(true), $tube);
    },
    'watched tubes are known' => function (string $tube): void {
        $client = connectWith(SocketFactory::FSOCKOPEN);
        same($client->listTubesWatched(true), ['default']);
        $client->watch($tube)->watch("$tube-2")->ignore('default');
        $names = $client->listTubesWatched(true);
        sort($names);
        same($names, [$tube, "$tube-2"]);
        $client->watchOnly("$tube-3");
        same($client->listTubesWatched(true), ["$tube-3"]);
        same($client->listTubesWatched(), ["$tube-3"]);
        throwing(Exception\ServerException::class, fn () => $client->ignore("$tube-3"));
        same($client->withWatchedTube($tube, fn ($client) => $client->listTubesWatched(true)), [$tube]);
    },
    'peeks show jobs' => function (string $tube): void {
        $client = connect($tube);
        same([$client->peekReady(), $client->peekDelayed(), $client->peekBuried()], [null, null, null]);
        $ready = $client->put('ready');
        $delayed = $client->put('delayed', 0, 1000);
        same($client->peek(new JobId($ready->getId()))->getData(), 'ready');
        same($client->peekReady()->getId(), $ready->getId());
        same([$client->peekDelayed()->getId(), $client->peekDelayed()->getData()], [$delayed->getId(), 'delayed']);
    },
    'stats of a job' => function (string $tube): void {
        $client = connect($tube);
        $job = $client->put('x', 1, 0, 9);
        $stats = $client->statsJob($job);
        same([$stats['id'], $stats['state'], $stats['pri']], [(string) $job->getId(), 'ready', '1']);
        same(trim($stats['tube'], '"'), $tube);
        throwing(Exception\ServerException::class, fn () => $client->statsJob(new JobId(PHP_INT_MAX)));
    },
    'stats of a tube' => function (string $tube): void {
        $client = connect($tube);
        $client->put('x', 0);
        $stats = $client->statsTube($tube);
        same([trim($stats['name'], '"'), $stats['current-jobs-ready'], $stats['current-using']], [$tube, '1', '1']);
        throwing(Exception\ServerException::class, fn () => $client->statsTube("$tube-no"));
    },
    'stats of the server' => function (string $tube): void {
        $client = connect($tube);
        $before = $client->stats();
        $client->put('x');
        $after = $client->stats();
        same((int) $after['cmd-put'] > (int) $before['cmd-put'], true);
        same([$after['max-job-size'], $after['draining']], ['65535', 'false']);
    },
    'all tubes are listed' => function (string $tube): void {
        $names = connect($tube)->listTubes();
        same([in_array('default', $names, true), in_array($tube, $names, true)], [true, true]);
    },
    'a paused tube waits and is resumed' => function (string $tube): void {
        $client = connect($tube);
        $client->put('x');
        $client->pauseTube($tube, 1000);
        same($client->statsTube($tube)['pause'], '1000');
        same($client->reserveWithTimeout(0), null);
        $client->resumeTube($tube);
        same($client->reserveWithTimeout(0)->getData(), 'x');
        throwing(Exception\ServerException::class, fn () => $client->pauseTube("$tube-no", 1));
    },
    'disconnecting gives jobs back, and the next call connects again' => function (string $tube): void {
        global $argv, $network;
        $factory = $network
            ? new SocketFactory($argv[1], (int) $argv[2])
            : new SocketFactory('unix://' . $argv[1], -1, 10, SocketFactory::FSOCKOPEN);
        $connection = new Connection($factory);
        $client = new Pheanstalk($connection);
        $observer = connect($tube);
        $job = $observer->put('x');
        $client->watchOnly($tube)->reserve();
        $connection->disconnect();
        waitUntil(fn () => $observer->statsJob($job)['state'] === 'ready');
        same($client->listTubesWatched(true), ['default']);
    },
];

$failed = 0;
$number = 0;
foreach ($checks as $name => $check) {
    try {
        $check('pheanstalk-' . getmypid() . '-' . $number++);
        echo "ok $name\n";
    } catch (Throwable $error) {
        $failed++;
        echo "FAILED $name: $error\n";
    }
}
echo count($checks) - $failed, " passed, $failed failed\n";
exit($failed > 0 ? 1 : 0);
